// Where a new ENI goes, and why there is no place for one.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { NodeENISpec } from '../../src/api/node-eni.ts'
import type { Instance, InstanceType, Subnet } from '../../src/attacher/ec2.ts'
import { type PlanQuestion, planEni } from '../../src/attacher/eni-plan.ts'
import type { SlotPolicy } from '../../src/attacher/slot-map.ts'

import { resource } from './attacher-world.ts'
import { allForUs, attachmentOf, nodeENIOf } from './objects.ts'

const subnet = (id: string, freeAddresses: number, letter = 'a'): Subnet => ({
  id,
  zone: `eu-north-1${letter}`,
  vpcID: 'vpc-1',
  cidr: '10.0.0.0/24',
  freeAddresses,
})
const subnets = [subnet('few', 10), subnet('many', 100), subnet('elsewhere', 1000, 'b')]
const type: InstanceType = {
  name: 'm5.xlarge',
  cards: [{ index: 0, maxInterfaces: 4 }],
  sharedAttachments: undefined,
}
const primary = { eniID: 'eni-0', networkCard: 0, deviceIndex: 0 }
const instance: Instance = {
  id: 'i-a1',
  type: type.name,
  state: 'running',
  vpcID: 'vpc-1',
  zone: 'eu-north-1a',
  interfaces: [primary],
  volumes: 1,
}
const planned = (name: string, subnetID: string, deviceIndex: number, nodeENI = 'upf') =>
  attachmentOf(name, {
    spec: { nodeENI, nodeName: 'a1', instanceID: 'i-a1' },
    status: { eni: { attempt: 1, subnetID, networkCard: 0, deviceIndex } },
  })

function plan(spec: Partial<NodeENISpec> = {}, changes: Partial<PlanQuestion> = {}) {
  return planEni({
    nodeENI: nodeENIOf('upf', spec),
    instance,
    type,
    subnets,
    siblings: [],
    policy: allForUs,
    ...changes,
  })
}

function placed(spec?: Partial<NodeENISpec>, changes?: Partial<PlanQuestion>): string {
  const answer = plan(spec, changes)
  return 'reason' in answer ? answer.reason : `${answer.subnet.id} ${answer.networkCard}/${answer.deviceIndex}`
}

const justInTime = { dpdkResourceName: resource }

test('JustInTime, also a warm one: the subnet of the zone with most free addresses', () => {
  assert.equal(placed(justInTime), 'many 0/1')
  assert.equal(placed({ ...justInTime, warm: 2 }, { siblings: [planned('1', 'many', 1)] }), 'many 0/2')
  assert.equal(placed(justInTime, { subnets: [subnet('elsewhere', 10, 'b')] }), 'NoUsableSubnet')
})

test('Eager, also with a resource: the subnets of the zone in order, one ENI in each', () => {
  assert.equal(placed(), 'few 0/1')
  assert.equal(placed({ ...justInTime, attachPolicy: 'Eager' }), 'few 0/1')
  assert.equal(placed({ ...justInTime, attachPolicy: 'Eager' }, { siblings: [planned('1', 'few', 1)] }), 'many 0/2')
})

test('Eager with a subnet that is exhausted has no second ENI in another', () => {
  const answer = plan({}, { subnets: [subnet('many', 100)], siblings: [planned('1', 'many', 1)] })
  assert.ok('reason' in answer)
  assert.deepEqual(answer, {
    reason: 'NoUsableSubnet',
    message:
      'no subnet of NodeENI upf in eu-north-1a has a free address and no ENI of instance i-a1 yet; give the NodeENI another subnet in that zone, or free addresses',
  })
})

test('ENIs of other NodeENIs use no subnet up, but their slots', () => {
  assert.equal(placed({}, { siblings: [planned('1', 'few', 1, 'other')] }), 'few 0/2')
})

test('what is planned counts for maxPerNode, what is only wished for does not', () => {
  const siblings = [planned('1', 'many', 1), attachmentOf('wish'), planned('2', 'many', 2, 'other')]
  assert.equal(placed({ ...justInTime, maxPerNode: 2 }, { siblings }), 'many 0/3')
  const answer = plan({ ...justInTime, maxPerNode: 1 }, { siblings })
  assert.ok('reason' in answer)
  assert.equal(answer.reason, 'MaxPerNode')
  assert.equal(answer.message, 'instance i-a1 has 1 ENIs of NodeENI upf: its maxPerNode is 1; raise it, or add nodes')
})

test('slots that EC2 shows and slots that are planned are taken', () => {
  const interfaces = [primary, { eniID: 'eni-cni', networkCard: 0, deviceIndex: 2 }]
  const siblings = [planned('1', 'many', 1)]
  assert.equal(placed(justInTime, { instance: { ...instance, interfaces }, siblings }), 'many 0/3')
  const full = [...siblings, planned('2', 'many', 3)]
  assert.equal(placed(justInTime, { instance: { ...instance, interfaces }, siblings: full }), 'NodeFull')
})

test('a shared budget holds all ENIs, the primary one too, and the volumes', () => {
  const shared = { ...type, sharedAttachments: 28 }
  assert.equal(placed(justInTime, { type: shared, instance: { ...instance, volumes: 26 } }), 'many 0/1')
  const answer = plan(justInTime, { type: shared, instance: { ...instance, volumes: 27 } })
  assert.ok('reason' in answer)
  assert.match(
    answer.message,
    /its 28 are shared by 1 ENIs and 27 EBS volumes; add nodes, or use a type that shares none/,
  )
})

test('the primary interface is counted although EC2 does not show it yet', () => {
  const shared = { ...type, sharedAttachments: 28 }
  const launched = { ...instance, interfaces: [], volumes: 27 }
  assert.equal(placed(justInTime, { type: shared, instance: launched }), 'NodeFull')
})

test('slots that are kept for VPC CNI are not given, and less is kept once it has some', () => {
  const policy: SlotPolicy = { ...allForUs, cniSlots: 2 }
  const cni = { eniID: 'eni-cni', networkCard: 0, deviceIndex: 1 }
  const with2 = { ...instance, interfaces: [primary, cni, { ...cni, eniID: 'eni-cni-2', deviceIndex: 2 }] }
  assert.equal(placed(justInTime, { policy }), 'many 0/1')
  assert.equal(placed(justInTime, { policy, siblings: [planned('1', 'many', 1)] }), 'NodeFull')
  assert.equal(placed(justInTime, { policy, instance: with2 }), 'many 0/3')
})

test('room for volumes is kept in a shared budget', () => {
  const shared = { ...type, sharedAttachments: 28 }
  assert.equal(placed(justInTime, { type: shared, policy: { ...allForUs, volumes: 26 } }), 'many 0/1')
  assert.equal(placed(justInTime, { type: shared, policy: { ...allForUs, volumes: 27 } }), 'NodeFull')
})

test('JustInTime goes to the cards above 0 first where that is set, Eager never', () => {
  const cards = [0, 1].map((index) => ({ index, maxInterfaces: 2 }))
  const several = { type: { ...type, cards }, policy: { ...allForUs, jitCards: 'above-zero-first' as const } }
  assert.equal(placed(justInTime, several), 'many 1/1')
  const onSecond = attachmentOf('1', { status: { eni: { networkCard: 1, deviceIndex: 1, subnetID: 'many' } } })
  assert.equal(placed(justInTime, { ...several, siblings: [onSecond] }), 'many 0/1')
  assert.equal(placed({}, several), 'few 0/1')
})
