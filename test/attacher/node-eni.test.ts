// What is wrong with a NodeENI stands in its condition and in an event, makes no ENI and few calls, and heals when it is put right.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'

import type { NodeENISpec } from '../../src/api/node-eni.ts'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'

const options = { timeout: 15_000 }

interface Wrong {
  readonly spec: Partial<NodeENISpec>
  readonly reason: string
  readonly message: RegExp
  readonly right: Partial<NodeENISpec>
}

const wrongs: Readonly<Record<string, Wrong>> = {
  'a subnet that does not exist': {
    spec: { subnetIDs: ['subnet-a1', 'subnet-0'] },
    reason: 'SubnetNotFound',
    message: /subnet subnet-0 does not exist/,
    right: { subnetIDs: ['subnet-a1'] },
  },
  'a subnet of another VPC': {
    spec: { subnetIDs: ['subnet-other'] },
    reason: 'SubnetNotFound',
    message: /subnet-other is in vpc-2, the nodes are in vpc-1/,
    right: { subnetIDs: ['subnet-a1'] },
  },
  'a subnet name that no subnet has': {
    spec: { subnetIDs: [], subnetNames: ['n4'] },
    reason: 'SubnetNotFound',
    message: /no subnet in vpc-1 has the Name tag n4/,
    right: { subnetNames: ['n3'] },
  },
  'a subnet name that two subnets have': {
    spec: { subnetIDs: [], subnetNames: ['twice'] },
    reason: 'AmbiguousName',
    message: /named twice: subnet-a2, subnet-a3; use the id/,
    right: { subnetNames: ['n3'] },
  },
  'a security group that does not exist': {
    spec: { securityGroupIDs: ['sg-0'] },
    reason: 'SecurityGroupNotFound',
    message: /security group sg-0 does not exist/,
    right: { securityGroupIDs: ['sg-upf'] },
  },
  'a security group name that no group has': {
    spec: { securityGroupIDs: [], securityGroupNames: ['smf'] },
    reason: 'SecurityGroupNotFound',
    message: /no security group in vpc-1 has the name smf/,
    right: { securityGroupNames: ['upf'] },
  },
  'a security group of another VPC': {
    spec: { securityGroupIDs: ['sg-other'] },
    reason: 'SecurityGroupNotFound',
    message: /security group sg-other is in vpc-2, the nodes are in vpc-1/,
    right: { securityGroupIDs: ['sg-upf'] },
  },
  'subnets only where no node is': {
    spec: { subnetIDs: ['subnet-c1'] },
    reason: 'NoSubnetInZone',
    message: /nodes are in eu-north-1a, but the subnets are subnet-c1 in eu-north-1c/,
    right: { subnetIDs: ['subnet-a1'] },
  },
  'a device index that no node has': {
    spec: { deviceIndex: 4 },
    reason: 'InvalidDeviceIndex',
    message: /deviceIndex 4 does not exist on any matching node: the highest index is 3/,
    right: { deviceIndex: 3 },
  },
  'a selector that matches no node': {
    spec: { nodeSelector: { node: 'none' } },
    reason: 'NoInstances',
    message: /nodeSelector/,
    right: { nodeSelector: { node: 'a1' } },
  },
}

for (const [name, { spec, reason, message, right }] of Object.entries(wrongs)) {
  test(`${name}: said, not tried again and again, and healed`, options, async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    attacher.addNodeENI('n6', { nodeSelector: { node: 'a1' }, ...spec })
    const condition = await attacher.ready('n6', 'False')
    assert.equal(condition.reason, reason)
    assert.match(condition.message, message)
    assert.match(await attacher.event('NodeENI', 'n6', reason), message)
    for (let s = 0; s < 300; s += 5) {
      attacher.clock.jump(5_000)
      await turn()
    }
    // An ENI is asked for again after 10 s, 20 s, and so on; a create that EC2 refuses is one call.
    assert.ok(attacher.ec2.calls.count() < 60, JSON.stringify(attacher.ec2.calls.countByAction()))
    await attacher.attachmentsAre((all) => all.every(({ status }) => status?.eni?.attached !== true))

    attacher.changeNodeENI('n6', right)
    await attacher.attachmentsAre(([one]) => one?.status?.eni?.attached === true)
    await attacher.ready('n6', 'True')
    checkAccount(attacher)
  })
}

test('a resource that is not among the managed ones is named, with the setting to change', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('n6', { dpdkResourceName: 'intel.com/unknown', warm: 1 })
  const { reason, message } = await attacher.ready('n6', 'False')
  assert.equal(reason, 'ResourceNotManaged')
  assert.match(message, /intel.com\/unknown is not among the managed resources \(.*upf_dataplane.*\).*"resources"/)
  checkEmpty(attacher)
})

test('the younger of two that disagree is refused until the older one is gone', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('a', { dpdkResourceName: resource })
  attacher.addNodeENI('b', { dpdkResourceName: resource, mtu: 9000 })
  const { reason, message } = await attacher.ready('b', 'False')
  assert.equal(reason, 'ResourceConflict')
  assert.match(message, /mtu differs from NodeENI a/)
  await attacher.ready('a', 'True')
  attacher.api.store('nodeenis').delete('a')
  await attacher.api.until('nodeenis', 'a', (object) => object === undefined)
  attacher.clock.jump(5_000)
  await attacher.ready('b', 'True')
})

test('an intent whose NodeENI is wrong fails for good, and its pod is told why', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('upf', { dpdkResourceName: resource, subnetIDs: ['subnet-0'] })
  await attacher.ready('upf', 'False')
  const claim = attacher.addUnboundPod('upf-0')
  attacher.addIntent('upf-1', claim)
  const { status } = await attacher.failed('upf-1')
  assert.equal(status?.phase, 'Failed')
  assert.match(await attacher.event('Pod', 'upf-0', 'SubnetNotFound'), /subnet-0 does not exist/)
  attacher.setClaim('upf-1', undefined)
  await attacher.gone('upf-1')
  checkEmpty(attacher)
})

test('what goes wrong with a NodeENI later leaves its ENIs alone', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('upf', { dpdkResourceName: resource })
  await attacher.ready('upf', 'True')
  attacher.addIntent('upf-1', attacher.addPod('upf-0'))
  await attacher.attached('upf-1')
  attacher.changeNodeENI('upf', { subnetIDs: ['subnet-0'] })
  await attacher.ready('upf', 'False')
  const { status } = attacher.attachment('upf-1')
  assert.deepEqual([status?.eni?.attached, status?.eni?.failure], [true, undefined])
  checkAccount(attacher)
})

test('a deleted NodeENI ends when its last ENI is gone, and that when its pod has ended', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('upf', { dpdkResourceName: resource, warm: 1, nodeSelector: { node: 'a1' } })
  const [warm] = await attacher.attachmentsAre(([one]) => one?.status?.eni?.attached === true)
  const claim = attacher.addPod('upf-0')
  attacher.setClaim(warm?.metadata.name ?? '', claim)
  await attacher.attachmentsAre((all) => all.filter(({ status }) => status?.eni?.attached).length === 2)

  attacher.api.store('nodeenis').delete('upf')
  await attacher.attachmentsAre((all) => all.length === 1)
  assert.notEqual(attacher.api.store('nodeenis').get('upf'), undefined)
  attacher.endPod(claim)
  await attacher.api.until('nodeenis', 'upf', (object) => object === undefined)
  checkEmpty(attacher)
})

test('a NodeENI that is being deleted says how many ENIs keep it', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const [first, second] = [await attacher.addStory(), attacher.addPod('upf-1')]
  attacher.addIntent('upf-2', second)
  await Promise.all(['upf-1', 'upf-2'].map((name) => attacher.attached(name)))
  await attacher.nodeENIIs('upf', ({ status }) => status?.attached === 2)
  attacher.api.store('nodeenis').delete('upf')
  const { reason, message } = await attacher.ready('upf', 'False')
  assert.deepEqual(
    [reason, message],
    ['Releasing', 'it is being deleted: 2 of its ENIs are left, and each goes when its pod has ended'],
  )
  attacher.endPod(first)
  const isLeft = (text: string) => text.includes('1 of its ENIs are left')
  const { status } = await attacher.nodeENIIs('upf', (one) => isLeft(one.status?.conditions?.[0]?.message ?? ''))
  assert.equal(status?.attached, 1)
  attacher.endPod(second)
  await attacher.api.until('nodeenis', 'upf', (object) => object === undefined)
  const events = attacher.api.store('events').list() as unknown as { reason: string }[]
  assert.equal(events.filter((event) => event.reason === 'Releasing').length, 1)
  checkEmpty(attacher)
})

test('a device index is judged by what EC2 says, before it is written to any node', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.api.disturb = ({ method, path }) =>
    method === 'PATCH' && path.startsWith('/api/v1/nodes/') ? { when: 'before', answer: 403 } : undefined
  attacher.addNodeENI('n6', { nodeSelector: { node: 'a1' }, deviceIndex: 4 })
  const { reason } = await attacher.ready('n6', 'False')
  assert.equal(reason, 'InvalidDeviceIndex')
  assert.deepEqual(attacher.attachments(), [])
})

test('a matching node that is not known yet keeps no intent on another waiting', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNode('dedicated')
  attacher.addNodeENI('upf', { dpdkResourceName: resource })
  await attacher.capacityIs('dedicated', () => true)
  attacher.ec2.faults.add({ action: 'DescribeInstances', when: 'before', kind: 'http500', times: Infinity })
  const asked = attacher.call('DescribeInstances')
  attacher.addNode('ghost')
  await asked
  const spec = { nodeName: 'dedicated', instanceID: 'i-dedicated' }
  attacher.addIntent('upf-1', attacher.addPod('upf-0', 'dedicated'), spec)
  await attacher.attached('upf-1')
  checkAccount(attacher)
})

test(
  'what needs no EC2 stands in the condition although EC2 does not say what the instances are',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const kind = { code: 'UnauthorizedOperation', status: 403 }
    attacher.ec2.faults.add({ action: 'DescribeInstances', when: 'before', times: Infinity, kind })
    attacher.addNodeENI('upf', { dpdkResourceName: 'example.com/other' })
    const { reason } = await attacher.ready('upf', 'False')
    assert.equal(reason, 'ResourceNotManaged')
  },
)

test(
  'a right that is missing for the look-up of subnets stands in the condition, until it is given',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const kind = { code: 'UnauthorizedOperation', status: 403 }
    const give = attacher.ec2.faults.add({ action: 'DescribeSubnets', when: 'before', times: Infinity, kind })
    attacher.addNodeENI('upf', { dpdkResourceName: resource })
    const { reason, message } = await attacher.ready('upf', 'False')
    assert.equal(reason, 'UnauthorizedOperation')
    assert.match(message, /EC2 DescribeSubnets/)
    give()
    attacher.clock.jump(5_000)
    await attacher.ready('upf', 'True')
  },
)
