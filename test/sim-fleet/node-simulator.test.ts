// What the stand-ins for device plugins and kubelets do with the objects of a fleet, which is what the real ones would.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { FleetUnderTest, nodeENI, upf } from './fleet-under-test.ts'

const somebody = { namespace: 'cnf', name: 'p', uid: 'uid-p' }

test('a claim on an attached ENI is acknowledged, and the acknowledgement ends with the claim', async (t) => {
  const world = await FleetUnderTest.start(t)
  const { eni } = await world.nodeWithDevice()
  world.claim(eni, somebody)
  const device = await world.deviceIs(eni, (found) => found?.acknowledged === 'uid-p')
  assert.equal(device?.pciAddress, '0000:00:06.0')
  assert.equal(device.health, 'Healthy')
  assert.ok(device.acknowledgedTime)
  world.claim(eni, undefined)
  await world.deviceIs(eni, (found) => found?.acknowledged === undefined)
  assert.equal(world.simulator.counts.acknowledged, 1)
})

test('nothing is offered before the ENI is attached', async (t) => {
  const world = await FleetUnderTest.start(t)
  const { eni } = await world.nodeWithDevice()
  const [node] = world.fleet.nodes
  assert.ok(node)
  const spec = { nodeENI: 'upf', nodeName: node.name, instanceID: node.instanceID, resourceName: upf }
  world.api.store('eniattachments').create({ metadata: { name: 'intent' }, spec: { ...spec, claim: somebody } })
  world.claim(eni, somebody)
  await world.deviceIs(eni, (found) => found?.acknowledged === 'uid-p')
  assert.equal(world.eni('intent')?.status?.device, undefined)
  world.api.store('eniattachments').update('intent', (object) => ({ ...object, status: { eni: { attached: true } } }))
  await world.deviceIs('intent', (found) => found?.acknowledged === 'uid-p')
})

test('a node whose plugin has not registered the resource acknowledges nothing until it has', async (t) => {
  const world = await FleetUnderTest.start(t)
  const [bare] = await world.fleet.addNodes(1, { devices: {} })
  assert.ok(bare)
  const [eni = ''] = await world.fleet.addENIs(nodeENI, [bare])
  world.claim(eni, somebody)
  const other = await world.nodeWithDevice()
  world.claim(other.eni, somebody)
  await world.deviceIs(other.eni, (found) => found?.acknowledged === 'uid-p')
  assert.equal(world.eni(eni)?.status?.device, undefined)
  world.api.store('nodes').update(bare.name, (node) => ({ ...node, status: { capacity: { [upf]: '0' } } }))
  await world.deviceIs(eni, (found) => found?.acknowledged === 'uid-p')
})

test('a silent plugin writes nothing until it is revived; what it wrote stays', async (t) => {
  const world = await FleetUnderTest.start(t)
  const silent = await world.nodeWithDevice()
  const other = await world.nodeWithDevice()
  world.simulator.nodes.silence(silent.node)
  world.claim(silent.eni, somebody)
  world.claim(other.eni, somebody)
  await world.deviceIs(other.eni, (found) => found?.acknowledged === 'uid-p')
  assert.equal(world.eni(silent.eni)?.status?.device?.acknowledged, undefined)
  assert.equal(world.eni(silent.eni)?.status?.device?.advertised, true)
  world.simulator.nodes.revive(silent.node)
  await world.deviceIs(silent.eni, (found) => found?.acknowledged === 'uid-p')
})

test('an ENI of an earlier instance of the node is none of its plugin', async (t) => {
  const world = await FleetUnderTest.start(t)
  const { node, eni } = await world.nodeWithDevice()
  const spec = { nodeENI: 'upf', nodeName: node, instanceID: 'i-before', resourceName: upf, claim: somebody }
  world.api.store('eniattachments').create({ metadata: { name: 'old' }, spec, status: { eni: { attached: true } } })
  world.claim(eni, somebody)
  await world.deviceIs(eni, (found) => found?.acknowledged === 'uid-p')
  assert.equal(world.eni('old')?.status?.device, undefined)
})

test('a bound pod gets a device, runs, and gives it back when it is deleted', async (t) => {
  const world = await FleetUnderTest.start(t)
  const { node, eni } = await world.nodeWithDevice()
  const pod = await world.boundPod('one', node)
  await world.podIs(pod, 'Running')
  await world.deviceIs(eni, (found) => found?.inUseBy?.name === 'one')
  await world.deletePod(pod)
  await world.podIsGone(pod)
  await world.deviceIs(eni, (found) => found?.inUseBy === undefined)
})

test('a pod that the kubelet cannot serve is refused for good, in its words', async (t) => {
  const world = await FleetUnderTest.start(t)
  const { node } = await world.nodeWithDevice()
  await world.podIs(await world.boundPod('one', node), 'Running')
  const { reason, message } = await world.podIs(await world.boundPod('two', node), 'Failed')
  assert.equal(reason, 'UnexpectedAdmissionError')
  assert.match(message ?? '', /requested number of devices unavailable for intel\.com\/upf_dataplane\. Requested: 1/)
  assert.deepEqual(world.simulator.counts.rejected, 1)
})

test('on a node where nothing has registered the resource a pod runs without it, and is counted', async (t) => {
  const world = await FleetUnderTest.start(t)
  const [bare] = await world.fleet.addNodes(1, { devices: {} })
  await world.podIs(await world.boundPod('one', bare?.name ?? ''), 'Running')
  assert.equal(world.simulator.counts.withoutDevice, 1)
})

test('the device finalizer of a deleted ENI ends when neither a pod nor a claim has it', async (t) => {
  const world = await FleetUnderTest.start(t)
  const { node, eni } = await world.nodeWithDevice()
  const pod = await world.boundPod('one', node)
  world.claim(eni, pod)
  await world.deviceIs(eni, (found) => found?.inUseBy?.name === 'one')
  world.api.store('eniattachments').delete(eni)
  await world.deletePod(pod)
  await world.podIsGone(pod)
  await world.deviceIs(eni, (found) => found?.inUseBy === undefined)
  assert.ok(world.eni(eni)?.metadata.finalizers?.includes('networking.k8s.aws/device'))
  world.claim(eni, undefined)
  await world.api.until('eniattachments', eni, (found) => {
    return found?.metadata.finalizers?.includes('networking.k8s.aws/device') === false
  })
})
