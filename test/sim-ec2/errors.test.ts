// The errors by which a client decides what to do next, each brought about by the state that has it at EC2. The sources are in
// sim/ec2/README.md.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { EC2ServiceException } from '@aws-sdk/client-ec2'

import { type Ec2InProcess, ec2InProcess } from './ec2-in-process.ts'
import { smallWorld } from './small-world.ts'

interface Row {
  readonly title: string
  readonly code: string
  readonly words: string
  readonly status?: number
  readonly options?: Parameters<typeof ec2InProcess>[1]
  readonly call: (account: Ec2InProcess) => Promise<unknown>
}

const groups = (length: number) => Array.from({ length }, () => 'sg-0123456789abcdef0')

const rows: readonly Row[] = [
  {
    title: 'too many calls',
    code: 'RequestLimitExceeded',
    words: 'Request limit exceeded.',
    status: 503,
    options: { throttling: { scale: 1 } },
    call({ ec2, create }) {
      ec2.drain('CreateNetworkInterface', 100)
      return create()
    },
  },
  {
    title: 'EC2 is not well, whether it did it or not',
    code: 'InternalError',
    words: 'An internal error has occurred',
    status: 500,
    call({ ec2, create }) {
      const kind = { code: 'InternalError', message: 'An internal error has occurred', status: 500 }
      ec2.faults.add({ action: 'CreateNetworkInterface', when: 'after', kind })
      return create()
    },
  },
  {
    title: 'an interface that EC2 does not know yet',
    code: 'InvalidNetworkInterfaceID.NotFound',
    words: 'does not exist',
    options: { consistency: { newIdMs: 2000, listMs: 0 } },
    call: async ({ create, attach }) => attach(await create(), 'i-large', 1),
  },
  {
    title: 'an attachment that is over',
    code: 'InvalidAttachmentID.NotFound',
    words: 'does not exist',
    async call({ client, create, attach }) {
      const AttachmentId = await attach(await create(), 'i-large', 1)
      await client.detachNetworkInterface({ AttachmentId })
      return client.detachNetworkInterface({ AttachmentId })
    },
  },
  {
    title: 'an instance that is full',
    code: 'AttachmentLimitExceeded',
    words: 'Interface count 4 exceeds the limit for m5.large',
    async call({ create, attach }) {
      for (const index of [1, 2]) await attach(await create(), 'i-large', index)
      return attach(await create(), 'i-large', 3)
    },
  },
  {
    title: 'an attach at an index that somebody took meanwhile',
    code: 'InvalidParameterValue',
    words: "Instance 'i-cni' already has an interface attached at device index '1'.",
    call: async ({ create, attach }) => attach(await create(), 'i-cni', 1),
  },
  {
    title: 'a delete of what is attached',
    code: 'InvalidParameterValue',
    words: 'is currently in use.',
    async call({ client, create, attach }) {
      const NetworkInterfaceId = await create()
      await attach(NetworkInterfaceId, 'i-large', 1)
      return client.deleteNetworkInterface({ NetworkInterfaceId })
    },
  },
  {
    title: 'a create that wants more addresses than are left',
    code: 'InvalidParameterValue',
    words: "There aren't sufficient free Ipv4 addresses or prefixes",
    call: ({ client }) =>
      client.createNetworkInterface({ SubnetId: 'subnet-tiny', SecondaryPrivateIpAddressCount: 11 }),
  },
  {
    title: 'an attach of what is attached',
    code: 'InvalidNetworkInterface.InUse',
    words: 'in use.',
    async call({ create, attach }) {
      const eniId = await create()
      await attach(eniId, 'i-large', 1)
      return attach(eniId, 'i-cni', 2)
    },
  },
  {
    title: 'an attach to an instance on its way down',
    code: 'IncorrectState',
    words: "Instance 'i-large' is not 'running'.",
    options: { delays: { stopMs: 30_000 } },
    async call({ ec2, create, attach }) {
      ec2.stopInstance('i-large')
      return attach(await create(), 'i-large', 1)
    },
  },
  {
    title: 'an attach to an instance that is terminated',
    code: 'IncorrectState',
    words: "Instance 'i-large' is not 'running'.",
    async call({ ec2, create, attach }) {
      ec2.terminateInstance('i-large')
      return attach(await create(), 'i-large', 1)
    },
  },
  {
    title: 'an attach to an instance that was terminated an hour ago',
    code: 'InvalidInstanceID.NotFound',
    words: "The instance ID 'i-large' does not exist",
    async call({ ec2, clock, create, attach }) {
      ec2.terminateInstance('i-large')
      await clock.advance(3_600_000)
      return attach(await create(), 'i-large', 1)
    },
  },
  {
    title: 'a subnet without a free address',
    code: 'InsufficientFreeAddressesInSubnet',
    words: 'The specified subnet does not have enough free addresses to satisfy the request.',
    async call({ create }) {
      for (let free = 11; free > 0; free--) await create('subnet-tiny')
      return create('subnet-tiny')
    },
  },
  {
    title: 'a region that is full',
    code: 'NetworkInterfaceLimitExceeded',
    words: 'maximum number of network interfaces',
    options: { world: { ...smallWorld, maximumNetworkInterfaces: 6 } },
    call: ({ create }) => create(),
  },
  {
    title: 'more addresses than the instance type takes',
    code: 'InvalidInterface.IpAddressLimitExceeded',
    words: 'm5.large',
    async call({ client, attach }) {
      const wanted = { SubnetId: 'subnet-a', SecondaryPrivateIpAddressCount: 10 }
      const { NetworkInterface } = await client.createNetworkInterface(wanted)
      return attach(NetworkInterface?.NetworkInterfaceId ?? '', 'i-large', 1)
    },
  },
  {
    title: 'a client token that was used for something else',
    code: 'IdempotentParameterMismatch',
    words: 'inconsistent with arguments used in previous request(s)',
    async call({ client }) {
      await client.createNetworkInterface({ SubnetId: 'subnet-a', ClientToken: 'one' })
      return client.createNetworkInterface({ SubnetId: 'subnet-b', ClientToken: 'one' })
    },
  },
  {
    title: 'a caller who may not',
    code: 'UnauthorizedOperation',
    words: 'You are not authorized to perform this operation.',
    status: 403,
    options: { iam: { policies: [] } },
    call: ({ create }) => create(),
  },
  {
    title: 'a call that only asks whether it might',
    code: 'DryRunOperation',
    words: 'Request would have succeeded, but DryRun flag is set.',
    status: 412,
    call: ({ client }) => client.createNetworkInterface({ SubnetId: 'subnet-a', DryRun: true }),
  },
  {
    title: 'a subnet that is not there',
    code: 'InvalidSubnetID.NotFound',
    words: "The subnet ID 'subnet-0' does not exist",
    call: ({ create }) => create('subnet-0'),
  },
  {
    title: 'a group that is not there',
    code: 'InvalidGroup.NotFound',
    words: "The security group 'sg-0' does not exist",
    call: ({ client }) => client.createNetworkInterface({ SubnetId: 'subnet-a', Groups: ['sg-0'] }),
  },
  {
    title: 'more groups than the quota',
    code: 'SecurityGroupsPerInterfaceLimitExceeded',
    words: 'maximum number of security groups per interface',
    call: ({ client }) => client.createNetworkInterface({ SubnetId: 'subnet-a', Groups: groups(6) }),
  },
  {
    title: 'what is no id',
    code: 'InvalidSubnetID.Malformed',
    words: 'Invalid id: "subnet_a" (expecting "subnet-...")',
    call: ({ create }) => create('subnet_a'),
  },
  {
    title: 'another zone',
    code: 'InvalidParameterCombination',
    words: 'not in the same availability zone',
    call: async ({ create, attach }) => attach(await create('subnet-b'), 'i-large', 1),
  },
  {
    title: 'a detach of the primary interface',
    code: 'OperationNotPermitted',
    words: 'The network interface at device index 0 and networkCard index 0 cannot be detached.',
    call({ ec2, client }) {
      const AttachmentId = ec2.state.eni('eni-primary').attachment?.attachmentId
      return client.detachNetworkInterface({ AttachmentId })
    },
  },
]

for (const { title, code, words, status = 400, options, call } of rows) {
  test(`${title}: ${code}`, async (t) => {
    const account = await ec2InProcess(t, options)
    await assert.rejects(call(account), (error: EC2ServiceException) => {
      assert.deepEqual([error.name, error.$metadata.httpStatusCode], [code, status])
      assert.ok(error.message.includes(words), error.message)
      return true
    })
  })
}
