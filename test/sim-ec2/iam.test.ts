// IAM in front of the simulated EC2, seen through the SDK: what a caller gets who may not, and whose credentials are bad.

import assert from 'node:assert/strict'
import { type TestContext, describe, test } from 'node:test'

import { EC2 } from '@aws-sdk/client-ec2'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import type { IamOptions } from '../../sim/ec2/iam/iam.ts'
import { inProcess } from '../../sim/ec2/in-process.ts'
import { newEc2 } from '../../sim/ec2/new-ec2.ts'

import { refused } from './ec2-under-test.ts'
import { smallWorld } from './small-world.ts'

function underTest(t: TestContext, iam?: IamOptions) {
  const clock = new VirtualClock()
  const ec2 = newEc2({ world: smallWorld, clock, ...(iam && { iam }) })
  const callerWith = (accessKeyId?: string) => {
    const client = new EC2({ ...inProcess(ec2, accessKeyId === undefined ? {} : { accessKeyId }), maxAttempts: 1 })
    t.after(() => client.destroy())
    return client
  }
  return { ec2, clock, callerWith, client: callerWith() }
}

function policyOf(
  ...statements: { Action: string | string[]; Resource?: string | string[]; [key: string]: unknown }[]
) {
  return {
    Version: '2012-10-17',
    Statement: statements.map((statement) => ({ Effect: 'Allow', Resource: '*', ...statement })),
  }
}

const arn = (resource: string) => `arn:aws:ec2:eu-north-1:123456789012:${resource}`
const createIn = { SubnetId: 'subnet-a' }

describe('who may not', () => {
  test('is told the action and the resource, in EC2’s words and with HTTP 403', async (t) => {
    const { client } = underTest(t, { policies: [policyOf({ Action: 'ec2:*', Resource: arn('network-interface/*') })] })
    await assert.rejects(client.createNetworkInterface(createIn), (error: Error & { $metadata: object }) => {
      assert.equal(error.name, 'UnauthorizedOperation')
      assert.partialDeepStrictEqual(error.$metadata, { httpStatusCode: 403 })
      assert.match(
        error.message,
        new RegExp(
          '^You are not authorized to perform this operation\\. ' +
            'User: arn:aws:sts::123456789012:assumed-role/jit-eni-attacher/akiasimulated0000000 is not authorized to perform: ' +
            'ec2:CreateNetworkInterface on resource: arn:aws:ec2:eu-north-1:123456789012:subnet/subnet-a ' +
            'because no identity-based policy allows the ec2:CreateNetworkInterface action\\. ' +
            'Encoded authorization failure message: [\\w-]{1000}$',
        ),
      )
      return true
    })
  })

  test('gets another encoded message each time', async (t) => {
    const { client } = underTest(t, { policies: [] })
    const message = () => client.createNetworkInterface(createIn).catch((error: Error) => error.message)
    assert.notEqual(await message(), await message())
  })

  test('is told of no resource and nothing encoded where the action names none', async (t) => {
    const { client } = underTest(t, { policies: [] })
    await assert.rejects(client.describeInstances({}), {
      name: 'UnauthorizedOperation',
      message:
        'You are not authorized to perform this operation. ' +
        'User: arn:aws:sts::123456789012:assumed-role/jit-eni-attacher/akiasimulated0000000 is not authorized to perform: ' +
        'ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action',
    })
  })

  test('is told of an explicit deny', async (t) => {
    const deny = { Effect: 'Deny', Action: 'ec2:CreateNetworkInterface', Resource: arn('subnet/subnet-a') }
    const { client } = underTest(t, { policies: [policyOf({ Action: '*' }, deny)] })
    await refused(
      client.createNetworkInterface(createIn),
      'UnauthorizedOperation',
      ':subnet/subnet-a with an explicit deny in an identity-based policy. Encoded',
    )
  })

  test('changes nothing', async (t) => {
    const { ec2, client } = underTest(t, { policies: [] })
    const before = ec2.state.enis().length
    await refused(client.createNetworkInterface(createIn), 'UnauthorizedOperation')
    assert.equal(ec2.state.enis().length, before)
  })

  test('finds it out by a dry run', async (t) => {
    const { ec2, client } = underTest(t, { policies: [policyOf({ Action: 'ec2:CreateNetworkInterface' })] })
    const before = ec2.state.enis().length
    await refused(client.createNetworkInterface({ ...createIn, DryRun: true }), 'DryRunOperation')
    const tags = [{ ResourceType: 'network-interface' as const, Tags: [{ Key: 'a', Value: 'b' }] }]
    const tagged = client.createNetworkInterface({ ...createIn, TagSpecifications: tags, DryRun: true })
    await refused(tagged, 'UnauthorizedOperation', `ec2:CreateTags on resource: ${arn('network-interface/*')}`)
    assert.equal(ec2.state.enis().length, before)
  })

  test('cannot see by the tags of what is gone that it is gone; who needs no tags can', async (t) => {
    const byTag = { Action: 'ec2:D*', Condition: { StringEquals: { 'aws:ResourceTag/a': 'b' } } }
    const { ec2, client } = underTest(t, { policies: [policyOf(byTag)] })
    const detached = () => client.detachNetworkInterface({ AttachmentId: 'eni-attach-0' })
    const deleted = () => client.deleteNetworkInterface({ NetworkInterfaceId: 'eni-0' })
    await refused(detached(), 'UnauthorizedOperation', `on resource: ${arn('network-interface/*')}`)
    await refused(deleted(), 'UnauthorizedOperation', `on resource: ${arn('network-interface/eni-0')}`)
    ec2.iam.setPolicies([policyOf({ Action: 'ec2:D*' })])
    await refused(detached(), 'InvalidAttachmentID.NotFound')
    await refused(deleted(), 'InvalidNetworkInterfaceID.NotFound')
  })
})

describe('rights', () => {
  test('are everything until policies are given, and change while the simulation runs', async (t) => {
    const { ec2, client } = underTest(t)
    await client.createNetworkInterface(createIn)
    ec2.iam.setPolicies([policyOf({ Action: 'ec2:Describe*' })])
    await refused(client.createNetworkInterface(createIn), 'UnauthorizedOperation')
    await client.describeSubnets({})
    ec2.iam.setPolicies(undefined)
    await client.createNetworkInterface(createIn)
  })

  test('are each caller’s own', async (t) => {
    const { ec2, client, callerWith } = underTest(t, { policies: [] })
    ec2.iam.addCaller({ accessKeyId: 'AKIAADMIN', role: 'admin' })
    ec2.iam.addCaller({ accessKeyId: 'AKIANODE', role: 'node', policies: [policyOf({ Action: 'ec2:Describe*' })] })
    await refused(client.describeSubnets({}), 'UnauthorizedOperation', 'assumed-role/jit-eni-attacher/')
    await callerWith('AKIAADMIN').createNetworkInterface(createIn)
    await callerWith('AKIANODE').describeSubnets({})
    await refused(
      callerWith('AKIANODE').createNetworkInterface(createIn),
      'UnauthorizedOperation',
      'User: arn:aws:sts::123456789012:assumed-role/node/akianode is',
    )
  })
})

describe('credentials', () => {
  test('that ran out are refused until they are renewed', async (t) => {
    const { ec2, client } = underTest(t)
    ec2.iam.sessions.expire()
    await assert.rejects(client.describeSubnets({}), (error: Error & { $metadata: object }) => {
      assert.equal(error.name, 'RequestExpired')
      assert.equal(error.message, 'Request has expired.')
      assert.partialDeepStrictEqual(error.$metadata, { httpStatusCode: 400 })
      return true
    })
    ec2.iam.sessions.restore()
    await client.describeSubnets({})
  })

  test('that are unknown or have a wrong secret are not authenticated', async (t) => {
    const { ec2, client } = underTest(t)
    ec2.iam.sessions.reject()
    await assert.rejects(client.describeSubnets({}), (error: Error & { $metadata: object }) => {
      assert.equal(error.name, 'AuthFailure')
      assert.partialDeepStrictEqual(error.$metadata, { httpStatusCode: 401 })
      return true
    })
  })

  test('are each their own: a new key works while the old one has run out', async (t) => {
    const { ec2, callerWith } = underTest(t)
    ec2.iam.sessions.expire('ASIAOLD')
    await refused(callerWith('ASIAOLD').describeSubnets({}), 'RequestExpired')
    await callerWith('ASIANEW').describeSubnets({})
  })

  test('that are bad are refused before any right is looked at', async (t) => {
    const { ec2, client } = underTest(t, { policies: [] })
    ec2.iam.sessions.expire()
    await refused(client.createNetworkInterface({ ...createIn, DryRun: true }), 'RequestExpired')
  })
})
