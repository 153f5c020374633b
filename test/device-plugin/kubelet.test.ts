// The device plugin and the kubelet: registration that survives both, and no device for two pods.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { injectCdiDevices } from '../../sim/kubelet/cdi-registry.ts'
import { resource } from './cluster-in-memory.ts'
import { type NodeUnderTest, startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'
const otherMac = '02:00:00:00:00:67'

async function started(node: NodeUnderTest): Promise<void> {
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().has(resource))
}

function allocatable(node: NodeUnderTest): number | undefined {
  return node.kubelet.counts().get(resource)?.allocatable
}

function admit(node: NodeUnderTest, name: string) {
  return node.kubelet.admit({ namespace: 'core', name, resource, count: 1 })
}

test('after a restart of the kubelet the resource is registered again, on a new socket, with its devices', async (t) => {
  const node = await startNode(t)
  await started(node)
  await node.acknowledged('a', mac, 'pod-1')
  const [before] = sockets(node)
  await node.kubelet.restart()
  await node.kubelet.effects.until(() => allocatable(node) === 1)
  const [after] = sockets(node)
  assert.notEqual(after, before)
  // Only a look at this kubelet gives a new acknowledgement.
  node.cluster.setClaim('a', { namespace: 'core', name: 'upf-1', uid: 'pod-2' })
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-2')
})

test('a device that comes while Register is not answered yet reaches the kubelet, which watches the list already', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  const answer = node.kubelet.holdRegisterAnswers()
  const watched = once(node.kubelet.effects, 'listed')
  await node.startPlugin()
  await watched
  await node.acknowledged('a', mac, 'pod-1')
  answer()
  await node.logged('resource registered')
  assert.equal(allocatable(node), 1)
})

test('it ends at once while the kubelet does not answer Register', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  node.kubelet.holdRegisterAnswers()
  const watched = once(node.kubelet.effects, 'listed')
  await node.startPlugin()
  await watched
  const startedAt = performance.now()
  await node.stopPlugin()
  // Register's own deadline is 12 s.
  assert.ok(performance.now() - startedAt < 5_000)
})

test('a kubelet that has just started and lists no pods yet takes no device from a running pod', async (t) => {
  const node = await startNode(t, { podSourceDelayMs: 1_000 })
  await started(node)
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  assert.ok((await admit(node, 'upf-0')).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'upf-0')
  const writtenBefore = node.cluster.written.length
  // The claim goes and the object is to be released: only the holder is left to protect the card.
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.passed()
  await node.kubelet.restart()
  const listed: string[] = []
  node.kubelet.effects.on('pods-listed', (pods) => listed.push(pods.join()))
  await node.kubelet.effects.until(() => listed.at(-1) === 'core/upf-0')
  assert.ok(listed.includes(''), 'there was no empty list')
  await node.passed()
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'vfio-pci')
  assert.ok(node.cluster.written.slice(writtenBefore).every(({ device }) => device.inUseBy?.name === 'upf-0'))

  node.kubelet.endPod({ namespace: 'core', name: 'upf-0' })
  await node.cluster.until(() => node.cluster.isReleased('a'))
})

test('when the kubelet ends its stream, the plugin registers again', async (t) => {
  const node = await startNode(t)
  await started(node)
  await node.acknowledged('a', mac, 'pod-1')
  node.kubelet.killStreams()
  await node.kubelet.effects.until(() => allocatable(node) === 0)
  await node.kubelet.effects.until(() => allocatable(node) === 1)
})

test('when somebody removes its socket, the plugin registers again with another', async (t) => {
  const node = await startNode(t)
  await started(node)
  await node.acknowledged('a', mac, 'pod-1')
  const [socket] = sockets(node)
  assert.ok(socket)
  let registrations = 0
  node.kubelet.effects.on('registered', () => registrations++)
  rmSync(join(node.root, 'k/device-plugins', socket))
  await node.kubelet.effects.until(() => registrations > 0 && allocatable(node) === 1)
  assert.ok(!sockets(node).includes(socket))
})

test('a kubelet that refuses Register is asked again', async (t) => {
  const node = await startNode(t)
  node.kubelet.refuseRegister('not now')
  node.cluster.addNodeENI('upf')
  let refusals = 0
  node.kubelet.effects.on('register-refused', () => refusals++)
  await node.startPlugin()
  await node.kubelet.effects.until(() => refusals >= 2)
  node.kubelet.refuseRegister(null)
  await node.kubelet.effects.until(() => node.kubelet.counts().has(resource))
  assert.equal(sockets(node).length, 1)
})

test('sockets that a killed plugin has left are removed', async (t) => {
  const node = await startNode(t)
  const leftover = join(node.root, 'k/device-plugins/jit-eni-1-00000000.sock')
  writeFileSync(leftover, '')
  await started(node)
  assert.ok(!existsSync(leftover))
})

test('the container is given what the scan has found', async (t) => {
  const node = await startNode(t, { iommu: 'noiommu' })
  await started(node)
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const pod = await admit(node, 'upf-0')
  assert.ok(pod.admitted)
  assert.equal(pod.response?.envs['PCIDEVICE_INTEL_COM_UPF_DATAPLANE'], bdf)
  const names = pod.response?.cdiDevices.map(({ name }) => name) ?? []
  assert.deepEqual(
    injectCdiDevices(node.cdiDir, names).map(({ hostPath, containerPath }) => [hostPath, containerPath]),
    [
      [join(node.root, 'dev/vfio/vfio'), '/dev/vfio/vfio'],
      [join(node.root, 'dev/vfio/noiommu-0'), '/dev/vfio/0'],
    ],
  )
  assert.ok(existsSync(join(node.root, 'dev/vfio/noiommu-0')))
})

test('a device that the kubelet hands out twice is refused the second time', async (t) => {
  const node = await startNode(t)
  await started(node)
  await node.acknowledged('a', mac, 'pod-1')
  node.kubelet.raceListDuringAllocate()
  const first = await admit(node, 'upf-0')
  const second = await admit(node, 'upf-1')
  assert.ok(first.admitted)
  assert.ok(!second.admitted)
  assert.match(second.message, /0000:00:06\.0 (was handed out|is held by pod core\/upf-0)/)
})

test('a device whose pod has ended is given to the next pod, although our last List still shows the first', async (t) => {
  const node = await startNode(t)
  await started(node)
  await node.acknowledged('a', mac, 'pod-1')
  assert.ok((await admit(node, 'upf-0')).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'upf-0')
  node.kubelet.endPod({ namespace: 'core', name: 'upf-0' })
  assert.ok((await admit(node, 'upf-1')).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'upf-1')
})

test('a claim on a device that a pod holds is acknowledged only when the pod is gone', async (t) => {
  const node = await startNode(t)
  await started(node)
  await node.acknowledged('a', mac, 'pod-1')
  assert.ok((await admit(node, 'upf-0')).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'upf-0')
  node.cluster.setClaim('a', { namespace: 'core', name: 'upf-1', uid: 'pod-2' })
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === undefined)
  node.kubelet.endPod({ namespace: 'core', name: 'upf-0' })
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-2')
  assert.ok(node.cluster.written.every(({ device }) => device.acknowledged !== 'pod-2' || device.inUseBy === undefined))
})

test('the same pod claims again: what the kubelet said before does not count', async (t) => {
  const node = await startNode(t)
  await started(node)
  await node.acknowledged('a', mac, 'pod-1')
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === undefined)
  const answer = node.kubelet.holdLists()
  await once(node.kubelet.effects, 'list-held')
  node.cluster.setClaim('a', { namespace: 'core', name: 'pod-1', uid: 'pod-1' })
  await node.passed()
  assert.equal(node.cluster.device('a')?.acknowledged, undefined)
  answer()
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-1')
})

test('an old acknowledgement never stands for a new claim', async (t) => {
  const node = await startNode(t)
  await started(node)
  await node.acknowledged('a', mac, 'pod-1')
  node.cluster.setClaim('a', { namespace: 'core', name: 'upf-1', uid: 'pod-2' })
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-2')
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === undefined)
})

test('two pods get two devices, and each attachment names its pod', async (t) => {
  const node = await startNode(t)
  await started(node)
  const first = await node.acknowledged('a', mac, 'pod-1')
  const second = await node.acknowledged('b', otherMac, 'pod-2')
  const pods = [await admit(node, 'upf-0'), await admit(node, 'upf-1')]
  assert.deepEqual(pods.flatMap((pod) => (pod.admitted ? pod.devices : [])).toSorted(), [first, second])
  const holders = () => ['a', 'b'].map((name) => node.cluster.device(name)?.inUseBy?.name ?? '').toSorted()
  await node.cluster.until(() => holders().join() === 'upf-0,upf-1')
})

test('an outage of the API server stops no pod, and the status follows when it is over', async (t) => {
  const node = await startNode(t)
  await started(node)
  await node.acknowledged('a', mac, 'pod-1')
  node.cluster.outage = new Error('no answer')
  assert.ok((await admit(node, 'upf-0')).admitted)
  await node.logged('status not written, trying again')
  node.cluster.outage = undefined
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'upf-0')
})

function sockets(node: NodeUnderTest): readonly string[] {
  return readdirSync(join(node.root, 'k/device-plugins')).filter((name) => name.startsWith('jit-eni-'))
}
