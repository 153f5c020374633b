// An instance that EC2 does not know is a reason to send a pod elsewhere; what EC2 has left out of an answer is asked for again.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { ENIAttachment, EniStatus } from '../../src/api/eni-attachment.ts'
import type { AttachmentStore } from '../../src/attacher/attachment-store.ts'
import type { Ec2, Instance, InstanceType, Subnet } from '../../src/attacher/ec2.ts'
import { EniPlacement } from '../../src/attacher/eni-placement.ts'
import { Inventory } from '../../src/attacher/inventory.ts'
import { Networks } from '../../src/attacher/network.ts'

import { allForUs, attachmentOf, nodeENIOf } from './objects.ts'
import { TestClock } from './test-clock.ts'

const instance: Instance = {
  id: 'i-a1',
  type: 'brand-new',
  state: 'running',
  vpcID: 'vpc-1',
  zone: 'eu-north-1a',
  interfaces: [],
  volumes: 1,
}

function placementUnderTest(
  ec2: Partial<Ec2>,
  networks: Partial<Networks> = {},
  get: AttachmentStore['get'] = () => undefined,
): EniPlacement {
  const store: Partial<AttachmentStore> = { onInstance: () => [], get }
  return new EniPlacement({
    store: store as AttachmentStore,
    inventory: new Inventory({ ec2: () => ec2 as Ec2, policy: allForUs, clock: new TestClock() }),
    networks: networks as Networks,
    policy: allForUs,
  })
}

test('an instance that EC2 does not know is told with what may be wrong', async () => {
  const placement = placementUnderTest({ describeInstances: async () => [] })
  const network = { subnets: [], securityGroupIDs: [] }
  assert.deepEqual(await placement.choose(attachmentOf('upf-1'), nodeENIOf('upf'), network), {
    reason: 'InstanceNotFound',
    message:
      'EC2 knows no instance i-a1; if it is terminated, delete its Node a1; else see the region and account of the attacher',
  })
})

test('an instance type that EC2 does not describe is not taken for one without slots', async () => {
  const ec2 = { describeInstances: async () => [instance], describeInstanceTypes: async () => [] }
  const placement = placementUnderTest(ec2)
  await assert.rejects(
    placement.choose(attachmentOf('upf-1'), nodeENIOf('upf'), { subnets: [], securityGroupIDs: [] }),
    /EC2 has not described instance type brand-new of i-a1 yet/,
  )
})

const type: InstanceType = {
  name: instance.type,
  cards: [{ index: 0, maxInterfaces: 4 }],
  sharedAttachments: undefined,
}
const subnet: Subnet = {
  id: 'subnet-a1',
  zone: instance.zone,
  vpcID: instance.vpcID,
  cidr: '10.0.0.0/24',
  freeAddresses: 100,
}

test('a plan takes an address until it is forgotten, given up, or its object is gone', async () => {
  let now: ENIAttachment | undefined = attachmentOf('upf-1')
  const ec2 = { describeInstances: async () => [instance], describeInstanceTypes: async () => [type] }
  const networks = new Networks(() => ec2 as unknown as Ec2, new TestClock())
  const placement = placementUnderTest(ec2, networks, () => now)
  const plan = await placement.choose(now, nodeENIOf('upf'), { subnets: [subnet], securityGroupIDs: [] })
  assert.ok(!('reason' in plan))
  const freeWith = (eni: EniStatus) => {
    now = { ...attachmentOf('upf-1'), status: { eni } }
    return networks.freeAddresses(subnet)
  }
  const createdTime = '2026-01-01T00:00:00.000Z'
  const failure = { reason: 'NodeFull', message: 'full', time: createdTime, terminal: true }
  const planned = { attempt: 1, subnetID: subnet.id }
  assert.equal(networks.freeAddresses(subnet), 99, 'not stored yet')
  assert.equal(freeWith(planned), 99)
  assert.equal(freeWith({ ...planned, failure }), 100)
  const created = { ...planned, eniID: 'eni-1', createdTime }
  assert.equal(freeWith(created), 99)
  assert.equal(freeWith({ ...created, failure }), 99, 'given up, but EC2 has made it')
  assert.equal(freeWith({ attempt: 1 }), 100)
  assert.equal(freeWith({ ...planned, attempt: 2 }), 100, 'the next plan has its own debit')
  now = undefined
  assert.equal(networks.freeAddresses(subnet), 100)
})
