// A card is taken from a node without its device plugin only when EC2 says that the instance is gone.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { deviceFinalizer } from '../../src/api/names.ts'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'

const options = { timeout: 15_000 }

/** An ENI on node a1, whose device plugin has stopped, and whose pod has ended. */
async function abandoned(attacher: AttacherUnderTest): Promise<void> {
  const claim = await attacher.addStory()
  await attacher.attached('upf-1')
  attacher.devicePlugin.isThere = false
  attacher.endPod(claim)
  await attacher.attachmentIs('upf-1', ({ metadata }) => metadata.deletionTimestamp !== undefined)
}

/** The attacher gets to know what has become of the instances: a node that it has not seen yet makes it ask. */
async function instancesDescribed(attacher: AttacherUnderTest): Promise<void> {
  const described = attacher.call('DescribeInstances')
  attacher.addNode('ghost')
  await described
}

function checkStillAttached(attacher: AttacherUnderTest): void {
  assert.ok(attacher.attachment('upf-1').metadata.finalizers?.includes(deviceFinalizer))
  assert.equal(attacher.ec2.calls.count('DetachNetworkInterface'), 0)
  checkAccount(attacher)
}

test('a live node without its device plugin keeps the card until the plugin is back', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await abandoned(attacher)
  await instancesDescribed(attacher)
  for (let look = 0; look < 4; look++) {
    await attacher.clock.jumpUntil(31_000, attacher.call('DescribeSubnets'))
    checkStillAttached(attacher)
  }
  attacher.devicePlugin.isThere = true
  attacher.devicePlugin.look('upf-1')
  await attacher.gone('upf-1')
  checkEmpty(attacher)
})

test('a Node object that is gone proves nothing: the instance may run', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await abandoned(attacher)
  attacher.api.store('nodes').delete('a1')
  for (let look = 0; look < 3; look++) {
    await attacher.clock.jumpUntil(31_000, attacher.call('DescribeInstances'))
    checkStillAttached(attacher)
  }
})

test('a terminated instance: EC2 has deleted the ENI, and the object goes', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await abandoned(attacher)
  attacher.terminateInstance('i-a1')
  await instancesDescribed(attacher)
  await attacher.clock.jumpUntil(31_000, attacher.gone('upf-1'))
  assert.equal(attacher.ec2.calls.count('DetachNetworkInterface'), 0)
  checkEmpty(attacher)
})

test('a stopped instance lets its ENI be detached and deleted', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await abandoned(attacher)
  attacher.ec2.stopInstance('i-a1')
  await instancesDescribed(attacher)
  await attacher.clock.jumpUntil(31_000, attacher.gone('upf-1'))
  checkEmpty(attacher)
})

test('an ENI that EC2 was never asked for needs no device plugin to go', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.devicePlugin.isThere = false
  attacher.addIntent('upf-1', undefined, { nodeENI: 'none' })
  await attacher.gone('upf-1')
  checkEmpty(attacher)
})

test(
  'an instance that replaced another under the same node name is served, and the old ENI is released',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const claim = await attacher.addStory({ releaseAfter: '1h' })
    await attacher.attached('upf-1')
    attacher.terminateInstance('i-a1')
    attacher.devicePlugin.isThere = false
    attacher.api.store('nodes').update('a1', (node) => ({ ...node, spec: { providerID: 'aws:///eu-north-1a/i-a2' } }))
    attacher.endPod(claim)
    await attacher.clock.jumpUntil(31_000, attacher.gone('upf-1'))
    attacher.addIntent('upf-2', attacher.addPod('upf-2'), { instanceID: 'i-a2' })
    await attacher.attached('upf-2')
    checkAccount(attacher)
  },
)

/** A pod on node a1 holds its device, and nobody on the node will ever say that it does not. */
async function heldOnDyingNode(attacher: AttacherUnderTest): Promise<void> {
  await attacher.addStory()
  await attacher.attached('upf-1')
  attacher.devicePlugin.isThere = false
  attacher.devicePlugin.report('upf-1', { inUseBy: { namespace: 'cnf', name: 'upf-0' } })
  await attacher.attachmentIs('upf-1', ({ status }) => status?.phase === 'InUse')
}

const isDeleted = ({ metadata }: ENIAttachment) => metadata.deletionTimestamp !== undefined

test('an instance that ended under a running pod: the ENI goes, and so can its NodeENI', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await heldOnDyingNode(attacher)
  attacher.terminateInstance('i-a1')
  attacher.api.store('nodes').delete('a1')
  await attacher.clock.jumpUntil(31_000, attacher.gone('upf-1'))
  attacher.api.store('nodeenis').delete('upf')
  await attacher.api.until('nodeenis', 'upf', (object) => object === undefined)
  checkEmpty(attacher)
})

test('an instance that ended while its node object is still there', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await heldOnDyingNode(attacher)
  attacher.terminateInstance('i-a1')
  await instancesDescribed(attacher)
  await attacher.clock.jumpUntil(31_000, attacher.gone('upf-1'))
  checkEmpty(attacher)
})

test(
  'a node object that is gone takes no ENI from a pod: EC2 is asked again until it calls the instance ended',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    await heldOnDyingNode(attacher)
    attacher.api.store('nodes').delete('a1')
    for (let look = 0; look < 3; look++) await attacher.clock.jumpUntil(31_000, attacher.call('DescribeInstances'))
    assert.equal(isDeleted(attacher.attachment('upf-1')), false)
    attacher.terminateInstance('i-a1')
    await attacher.clock.jumpUntil(31_000, attacher.gone('upf-1'))
    checkEmpty(attacher)
  },
)

test('a stopped instance keeps the ENI of a pod: it starts again with it', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await heldOnDyingNode(attacher)
  attacher.ec2.stopInstance('i-a1')
  await instancesDescribed(attacher)
  for (let look = 0; look < 2; look++) await attacher.clock.jumpUntil(31_000, attacher.call('DescribeInstances'))
  assert.equal(isDeleted(attacher.attachment('upf-1')), false)
  // Nor does kubectl delete take it.
  attacher.api.store('eniattachments').delete('upf-1')
  for (let look = 0; look < 2; look++) await attacher.clock.jumpUntil(31_000, attacher.call('DescribeInstances'))
  checkStillAttached(attacher)
})

test('Eager: a node name that comes back with another instance gets its own ENI at once', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('n6', { nodeSelector: { node: 'a1' } })
  const [first] = await attacher.attachmentsAre(([one]) => one?.status?.eni?.attached === true)
  const name = first?.metadata.name ?? ''
  attacher.devicePlugin.isThere = false
  attacher.devicePlugin.report(name, { inUseBy: { namespace: 'cnf', name: 'smf-0' } })
  attacher.terminateInstance('i-a1')
  attacher.api.store('nodes').update('a1', (node) => ({ ...node, spec: { providerID: 'aws:///eu-north-1a/i-a2' } }))
  const isOnNew = ({ spec, status }: ENIAttachment) => spec.instanceID === 'i-a2' && status?.eni?.attached === true
  await attacher.attachmentsAre((all) => all.some(isOnNew))
  await attacher.clock.jumpUntil(31_000, attacher.gone(name))
  checkAccount(attacher)
})

test('a slot that a dead instance of the same node name has taken is free on the new one', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('upf', { dpdkResourceName: resource, maxPerNode: 1 })
  await attacher.ready('upf', 'True')
  attacher.addIntent('old', attacher.addPod('old'))
  await attacher.attached('old')
  attacher.devicePlugin.isThere = false
  attacher.api.store('nodes').update('a1', (node) => ({ ...node, spec: { providerID: 'aws:///eu-north-1a/i-a2' } }))
  attacher.addIntent('new', attacher.addPod('new'), { instanceID: 'i-a2' })
  const { status } = await attacher.attached('new')
  assert.equal(status?.eni?.deviceIndex, 1)
  checkAccount(attacher)
})

test('who waits for a device plugin that does not come says so', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await abandoned(attacher)
  await instancesDescribed(attacher)
  const { status } = await attacher.attachmentIs('upf-1', (one) => one.status?.eni?.failure !== undefined)
  assert.equal(status?.eni?.failure?.terminal, false)
  assert.match(status.eni.failure.message, /the device plugin of node a1 has not let go of the card yet/)
  const event = attacher.event('ENIAttachment', 'upf-1', 'WaitingForDevicePlugin')
  assert.match(await attacher.clock.jumpUntil(31_000, event), /does its pod run\?/)
})
