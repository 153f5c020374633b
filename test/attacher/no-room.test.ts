// Device indexes, slots, attachments and addresses that are taken, or were a moment ago: the next one, or the end of the try.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { ENIAttachment } from '../../src/api/eni-attachment.ts'

import { checkAccount } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'

const options = { timeout: 15_000 }

test('an index that somebody else took meanwhile: the next one, with the same ENI', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('warm-up', { nodeSelector: { node: 'a1' } })
  await attacher.attachmentsAre(([one]) => one?.status?.eni?.attached === true)
  attacher.attachForeign('i-a1', 2)
  await attacher.addStory({ deviceIndex: 2 })
  const { status } = await attacher.attached('upf-1')
  assert.equal(status?.eni?.deviceIndex, 3)
  assert.equal(attacher.created, 2)
  checkAccount(attacher)
})

test(
  'an index that EC2 calls taken because the attach before went through is ours, and is stored as it is',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const kind = {
      code: 'InvalidParameterValue',
      message: "Instance 'i-a1' already has an interface attached at device index '1'.",
    }
    attacher.ec2.faults.add({ action: 'AttachNetworkInterface', when: 'after', kind })
    await attacher.addStory()
    const { status } = await attacher.attached('upf-1')
    const eni = attacher.ec2.state.eni(status?.eni?.eniID ?? '')
    assert.equal(status?.eni?.deviceIndex, eni.attachment?.deviceIndex)
    checkAccount(attacher)
  },
)

test(
  'a subnet without addresses: the next of the zone, and the NodeENI says which is exhausted',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    attacher.ec2.faults.add({
      action: 'CreateNetworkInterface',
      when: 'before',
      kind: { code: 'InsufficientFreeAddressesInSubnet' },
    })
    await attacher.addStory({ subnetIDs: ['subnet-a1', 'subnet-a2', 'subnet-b1'] })
    const { status } = await attacher.attached('upf-1')
    assert.equal(status?.eni?.subnetID, 'subnet-a2')
    const nodeENI = await attacher.nodeENIIs(
      'upf',
      (one) => one.status?.subnets?.some(({ exhausted }) => exhausted) ?? false,
    )
    assert.deepEqual(
      nodeENI.status?.subnets?.map(({ subnetID, exhausted }) => [subnetID, exhausted]),
      [
        ['subnet-a1', true],
        ['subnet-a2', false],
        ['subnet-b1', false],
      ],
    )
    checkAccount(attacher)
  },
)

test(
  'when the last subnet of the zone is exhausted the try ends; later the subnet is tried again',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const kind = { code: 'InsufficientFreeAddressesInSubnet' }
    attacher.ec2.faults.add({ action: 'CreateNetworkInterface', when: 'before', kind })
    await attacher.addStory({ subnetIDs: ['subnet-a1', 'subnet-b1'] })
    await attacher.failed('upf-1')
    assert.match(await attacher.event('Pod', 'upf-0', 'NoUsableSubnet'), /no subnet of NodeENI upf in eu-north-1a/)
    await attacher.giveClaimBack()
    attacher.clock.jump(91_000)
    attacher.addIntent('upf-2', attacher.addPod('upf-2'))
    await attacher.attached('upf-2')
    checkAccount(attacher)
  },
)

test('an instance that was full a minute ago is looked at again before a pod is refused', options, async (t) => {
  for (const node of ['a1', 'dedicated']) {
    await t.test(node, async (t2) => {
      const attacher = await AttacherUnderTest.prepare(t2)
      attacher.addNode('dedicated')
      const instanceID = `i-${node}`
      const before = attacher.foreign.ids
      const slots = node === 'a1' ? 3 : 7
      for (let index = 1; index <= slots; index++) attacher.attachForeign(instanceID, index)
      const spec = { nodeName: node, instanceID }
      attacher.startControllers()
      attacher.addNodeENI('upf', { dpdkResourceName: resource })
      await attacher.capacityIs(node, ({ cards }) => cards[0]?.foreign === slots + 1)
      attacher.addIntent('refused', attacher.addPod('refused', node), spec)
      await attacher.failed('refused')
      assert.match(
        await attacher.event('Pod', 'refused', 'NodeFull'),
        /has no free ENI slot; add nodes, or use a type that takes more ENIs/,
      )
      // The sweep that follows a refusal is over.
      await attacher.ready('upf', 'True')
      for (const id of attacher.foreign.ids) if (!before.includes(id)) attacher.detachForeign(id)
      attacher.addIntent('upf-1', attacher.addPod('upf-0', node), spec)
      await attacher.attached('upf-1')
    })
  }
})

test('an instance whose type EC2 does not describe at the moment is not called full', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNode('dedicated')
  attacher.addNodeENI('n6', { nodeSelector: { node: 'a1' } })
  await attacher.ready('n6', 'True')
  const action = 'DescribeInstanceTypes'
  const heal = attacher.ec2.faults.add({ action, when: 'before', kind: 'http500', times: Infinity })
  attacher.addNodeENI('upf', { dpdkResourceName: resource })
  const spec = { nodeName: 'dedicated', instanceID: 'i-dedicated' }
  attacher.addIntent('upf-1', attacher.addPod('upf-0', 'dedicated'), spec)
  const { status } = await attacher.attachmentIs('upf-1', (one) => one.status?.eni?.failure !== undefined)
  assert.equal(status?.eni?.failure?.terminal, false)
  heal()
  await attacher.clock.jumpUntil(1_000, attacher.attached('upf-1'))
  checkAccount(attacher)
})

test('volumes that were attached since the instance was described count', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNode('volumes')
  attacher.addNodeENI('upf', { dpdkResourceName: resource })
  assert.equal((await attacher.capacityIs('volumes', () => true)).shared, 1)
  attacher.ec2.state.instance('i-volumes').ebsVolumes++
  attacher.addIntent('upf-1', attacher.addPod('upf-0', 'volumes'), { nodeName: 'volumes', instanceID: 'i-volumes' })
  await attacher.failed('upf-1')
  assert.match(await attacher.event('Pod', 'upf-0', 'NodeFull'), /28 are shared by 1 ENIs and 27 EBS volumes/)
  assert.equal(attacher.created, 0)
})

test('the last attachment of a shared budget is given', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNode('volumes')
  attacher.addNodeENI('upf', { dpdkResourceName: resource })
  await attacher.ready('upf', 'True')
  attacher.addIntent('upf-1', attacher.addPod('upf-0', 'volumes'), { nodeName: 'volumes', instanceID: 'i-volumes' })
  await attacher.attached('upf-1')
  checkAccount(attacher)
})

test('no more than maxPerNode, whatever was asked for at the same moment', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('upf', { dpdkResourceName: resource, maxPerNode: 2 })
  await attacher.ready('upf', 'True')
  const names = ['1', '2', '3']
  for (const name of names) attacher.addIntent(name, attacher.addPod(name))
  const isDecided = ({ status }: ENIAttachment) => status?.eni?.attached === true || status?.eni?.failure !== undefined
  const all = await attacher.attachmentsAre((three) => three.every(isDecided))
  const reasons = all.flatMap(({ status }) => status?.eni?.failure?.reason ?? [])
  assert.deepEqual(reasons, ['MaxPerNode'])
  assert.equal(attacher.created, 2)
})
