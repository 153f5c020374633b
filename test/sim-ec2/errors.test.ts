// Errors by which a client decides what to do next, each brought about by the state that has it at EC2. The sources are in
// sim/ec2/README.md; more are in the tests of what brings them about.

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

const rows: readonly Row[] = [
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
    title: 'an attach at an index that somebody took meanwhile',
    code: 'InvalidParameterValue',
    words: "Instance 'i-cni' already has an interface attached at device index '1'.",
    call: async ({ create, attach }) => attach(await create(), 'i-cni', 1),
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
    title: 'a call that only asks whether it might',
    code: 'DryRunOperation',
    words: 'Request would have succeeded, but DryRun flag is set.',
    status: 412,
    call: ({ client }) => client.createNetworkInterface({ SubnetId: 'subnet-a', DryRun: true }),
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
