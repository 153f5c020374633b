// Token buckets: how many calls of an action EC2 takes at once, and how many a second.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import type { EC2 } from '@aws-sdk/client-ec2'

import type { BucketName } from '../../sim/ec2/wire/throttle.ts'

import { ec2InProcess } from './ec2-in-process.ts'
import { refused } from './ec2-under-test.ts'

const on = { throttling: { scale: 1 } }
const filtered = { Filters: [{ Name: 'vpc-id', Values: ['vpc-1'] }] }
const unknownEni = { NetworkInterfaceId: 'eni-0' }
const tags = { Resources: ['i-large'], Tags: [{ Key: 'a', Value: 'b' }] }

/** Whether a call was let in: what becomes of it then does not matter. */
async function throttled(call: Promise<unknown>): Promise<boolean> {
  const error = await call.then(
    () => undefined,
    (reason: Error) => reason,
  )
  return error?.name === 'RequestLimitExceeded'
}

async function letIn(calls: number, call: () => Promise<unknown>): Promise<number> {
  const refusals = await Promise.all(Array.from({ length: calls }, () => throttled(call())))
  return refusals.filter((was) => !was).length
}

describe('each bucket takes so many calls at once and so many a second', () => {
  const buckets: [BucketName, number, number, (client: EC2) => Promise<unknown>][] = [
    ['CreateNetworkInterface', 100, 5, (ec2) => ec2.createNetworkInterface({ SubnetId: 'subnet-a' })],
    ['DeleteNetworkInterface', 100, 5, (ec2) => ec2.deleteNetworkInterface(unknownEni)],
    ['ModifyNetworkInterfaceAttribute', 100, 5, (ec2) => ec2.modifyNetworkInterfaceAttribute(unknownEni)],
    [
      'AttachNetworkInterface',
      50,
      5,
      (ec2) => ec2.attachNetworkInterface({ ...unknownEni, InstanceId: 'i-large', DeviceIndex: 1 }),
    ],
    ['DetachNetworkInterface', 50, 5, (ec2) => ec2.detachNetworkInterface({ AttachmentId: 'eni-attach-0' })],
    ['DeleteSecurityGroup', 50, 5, (ec2) => ec2.deleteSecurityGroup({ GroupId: 'sg-0' })],
    ['CreateTags', 100, 10, (ec2) => ec2.createTags(tags)],
    ['DeleteTags', 100, 10, (ec2) => ec2.deleteTags(tags)],
    ['DescribeNetworkInterfaces', 100, 20, (ec2) => ec2.describeNetworkInterfaces(filtered)],
    ['DescribeNetworkInterfaces', 100, 20, (ec2) => ec2.describeNetworkInterfaces({ MaxResults: 5 })],
    ['DescribeNetworkInterfaces unfiltered', 50, 10, (ec2) => ec2.describeNetworkInterfaces({})],
    ['DescribeInstances', 100, 20, (ec2) => ec2.describeInstances(filtered)],
    ['DescribeInstances unfiltered', 50, 10, (ec2) => ec2.describeInstances({ InstanceIds: ['i-large'] })],
    ['DescribeSecurityGroups', 100, 20, (ec2) => ec2.describeSecurityGroups({ NextToken: 'x' })],
    ['DescribeSecurityGroups unfiltered', 50, 10, (ec2) => ec2.describeSecurityGroups({})],
    ['DescribeSubnets', 100, 20, (ec2) => ec2.describeSubnets({})],
    ['DescribeInstanceTypes', 100, 20, (ec2) => ec2.describeInstanceTypes({ InstanceTypes: ['m5.large'] })],
  ]
  for (const [bucketName, atOnce, perSecond, call] of buckets) {
    test(`${bucketName}: ${atOnce} and ${perSecond}`, async (t) => {
      const { ec2, client, clock } = await ec2InProcess(t, on)
      ec2.drain(bucketName, atOnce - 1)
      assert.deepEqual([await letIn(1, () => call(client)), await letIn(1, () => call(client))], [1, 0])
      await clock.advance(1000)
      assert.equal(await letIn(perSecond + 5, () => call(client)), perSecond)
    })
  }
})

test('a name that no bucket has does not compile', async (t) => {
  const { ec2, create } = await ec2InProcess(t, on)
  // @ts-expect-error it is mistyped
  ec2.drain('CreateNetworkInterfce', 100)
  // @ts-expect-error only some actions have two buckets
  ec2.drain('CreateNetworkInterface unfiltered', 100)
  // @ts-expect-error it is mistyped
  ec2.setThrottling({ scale: 1, overrides: { CreateNetworkInterfce: { bucket: 1, refillPerSecond: 1 } } })
  assert.equal(await letIn(2, create), 2)
})

test('a refusal is RequestLimitExceeded with HTTP 503', async (t) => {
  const { ec2, create } = await ec2InProcess(t, on)
  ec2.drain('CreateNetworkInterface', 100)
  await refused(create(), 'RequestLimitExceeded', 'Request limit exceeded.')
  const has503 = (error: { $metadata?: { httpStatusCode?: number } }) => error.$metadata?.httpStatusCode === 503
  await assert.rejects(create(), has503)
})

test('without throttling EC2 takes every call', async (t) => {
  const { ec2, client } = await ec2InProcess(t)
  assert.equal(await letIn(120, () => client.describeInstances({})), 120)
  assert.throws(() => ec2.drain('DescribeInstances', 1), /throttling is off/)
})

test('a throttled call takes no token and does nothing; one that is refused for another reason takes one', async (t) => {
  const { ec2, clock, create } = await ec2InProcess(t, on)
  const enis = ec2.state.enis().length
  ec2.drain('CreateNetworkInterface', 99)
  await refused(create('subnet-0'), 'InvalidSubnetID.NotFound')
  assert.equal(await letIn(30, create), 0)
  await clock.advance(200)
  assert.equal(await letIn(2, create), 1)
  assert.equal(ec2.state.enis().length, enis + 1)
})

test('a bucket refills evenly, and never beyond full', async (t) => {
  const { ec2, client, clock } = await ec2InProcess(t, on)
  const describeAll = () => client.describeInstances({})
  ec2.drain('DescribeInstances unfiltered', 50)
  await clock.advance(99)
  assert.equal(await letIn(1, describeAll), 0)
  await clock.advance(1)
  assert.equal(await letIn(2, describeAll), 1)
  await clock.advance(3_600_000)
  assert.equal(await letIn(60, describeAll), 50)
})

test('all callers of the account share a bucket, and other buckets are not touched', async (t) => {
  const { ec2, client, create } = await ec2InProcess(t, on)
  ec2.drain('CreateNetworkInterface', 1000)
  assert.equal(await throttled(create()), true)
  assert.equal(await throttled(client.deleteNetworkInterface(unknownEni)), false)
  ec2.drain('DescribeInstances unfiltered', 50)
  assert.equal(await throttled(client.describeInstances({})), true)
  assert.equal(await throttled(client.describeInstances(filtered)), false)
})

test('quotas can be raised, lowered, set for one bucket and switched off while it runs', async (t) => {
  const { ec2, client, clock, create } = await ec2InProcess(t, { throttling: { scale: 0.02 } })
  assert.equal(await letIn(5, create), 2)
  assert.equal(await letIn(5, () => client.describeInstances({})), 1, 'a bucket has at least one token')
  const overrides = { CreateNetworkInterface: { bucket: 3, refillPerSecond: 1 } }
  ec2.setThrottling({ scale: 2, overrides })
  assert.equal(await letIn(9, create), 3)
  await clock.advance(2000)
  assert.equal(await letIn(9, create), 2)
  assert.equal(await letIn(110, () => client.describeInstances({})), 100)
  ec2.setThrottling(undefined)
  assert.equal(await letIn(9, create), 9)
})
