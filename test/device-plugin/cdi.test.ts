// A device that is advertised works: the container runtime knows its nodes by name before the kubelet has it, and for as long as a
// pod may start a container with it.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { injectCdiDevices, readCdiRegistry } from '../../sim/kubelet/cdi-registry.ts'
import { bindByHand } from './by-hand.ts'
import { resource } from './cluster-in-memory.ts'
import { type NodeUnderTest, startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'
const pod = { namespace: 'core', name: 'upf-0' }

/** The nodes that a container with this device would get now. */
function nodesBy(node: NodeUnderTest, name: string): readonly string[] {
  return injectCdiDevices(node.cdiDir, [name]).map(({ hostPath }) => hostPath.replace(node.root, ''))
}

/** Resolves when the runtime knows so many devices. */
async function described(node: NodeUnderTest, devices: number): Promise<void> {
  while (readCdiRegistry(node.cdiDir).devices.size !== devices) {
    await node.passed()
    // A pass alone lets no file be written.
    await new Promise(setImmediate)
  }
}

test('whenever the kubelet hears of a healthy device, the runtime knows it already', async (t) => {
  const node = await startNode(t)
  const unknown: string[] = []
  let healthy = 0
  node.kubelet.effects.on('listed', (_resource, devices) => {
    const known = readCdiRegistry(node.cdiDir).devices
    for (const { id } of devices.filter((device) => device.healthy)) {
      healthy++
      if (!known.has(`${resource}=${id}`)) unknown.push(id)
    }
  })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  await node.acknowledged('b', '02:00:00:00:00:67', 'pod-2')
  assert.ok(healthy >= 3)
  assert.deepEqual(unknown, [])
  assert.deepEqual(readCdiRegistry(node.cdiDir).errors, [])
})

test('the answer to Allocate names the device; the name gives its nodes; and it is gone with the device', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const admission = await node.kubelet.admit({ ...pod, resource, count: 1 })
  assert.ok(admission.admitted)
  const names = admission.response?.cdiDevices.map(({ name }) => name)
  assert.deepEqual(names, [`${resource}=${bdf}`])
  assert.deepEqual(admission.response?.devices, [])
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  const group = node.bus.cards().find((card) => card.bdf === bdf)?.iommuGroup
  assert.deepEqual(nodesBy(node, `${resource}=${bdf}`), ['/dev/vfio/vfio', `/dev/vfio/${group}`])

  node.kubelet.endPod(pod)
  node.cluster.setClaim('a', undefined)
  node.cluster.delete('a')
  await node.cluster.until(() => node.cluster.isReleased('a'))
  await described(node, 0)
})

test('after a reboot the same name leads to the new group number', async (t) => {
  const node = await startNode(t, { iommu: 'noiommu' })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const name = `${resource}=${bdf}`
  assert.deepEqual(nodesBy(node, name), ['/dev/vfio/vfio', '/dev/vfio/noiommu-0'])
  const { bdf: other } = await node.bus.plug({ mac: '02:00:00:00:00:77', eniId: 'eni-other', deviceIndex: 2 })
  await node.stopPlugin()
  node.kubelet.stop()
  await node.bus.reboot()
  await bindByHand(node, other)
  await node.kubelet.start()
  await node.startPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.deepEqual(nodesBy(node, name), ['/dev/vfio/vfio', '/dev/vfio/noiommu-1'])
})

test("while a card has lost its driver no container starts with its name: the number may be another card's by now", async (t) => {
  const node = await startNode(t, { iommu: 'noiommu' })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  writeFileSync(join(node.root, 'sys/bus/pci/drivers/vfio-pci/unbind'), bdf)
  await node.bus.effects.until(() => node.bus.cards().find((card) => card.bdf === bdf)?.driver === null)
  await described(node, 0)
  assert.throws(() => nodesBy(node, `${resource}=${bdf}`), /unresolvable CDI devices/)
})

test('a device that cannot be described is not offered, and the failure says so, until it can', async (t) => {
  const node = await startNode(t)
  writeFileSync(node.cdiDir, 'a file where the directory should be')
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().has(resource))
  node.cluster.addAttachment('a', { mac, claim: { ...pod, uid: 'pod-1' } })
  await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.failure !== undefined)
  const failure = node.cluster.device('a')?.failure
  assert.equal(failure?.reason, 'SpecNotWritten')
  assert.match(failure?.message ?? '', /CDI spec of intel\.com\/upf_dataplane not written for 0000:00:06\.0: .*EEXIST/)
  assert.equal(node.kubelet.counts().get(resource)?.capacity, 0)
  rmSync(node.cdiDir)
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-1')
})

test('a spec that somebody removes is written again, and the device is not offered meanwhile', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  rmSync(node.cdiDir, { recursive: true })
  await node.passed()
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 0)
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.equal(nodesBy(node, `${resource}=${bdf}`).length, 2)
})

test('what an earlier life left goes once the kubelet has said that nobody has it; files of others stay', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const admission = await node.kubelet.admit({ ...pod, resource, count: 1 })
  assert.ok(admission.admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  await node.stopPlugin()
  node.kubelet.stop()
  // By force, so that the plugin has nothing left to release: the card stays bound, and its pod goes on.
  node.cluster.forceAway('a')
  mkdirSync(node.cdiDir, { recursive: true })
  writeFileSync(join(node.cdiDir, 'other.json'), '{}')

  await node.startPlugin()
  await node.passed()
  assert.equal(nodesBy(node, `${resource}=${bdf}`).length, 2, 'the kubelet has not spoken, and a pod may have it')
  await node.kubelet.start()
  node.kubelet.endPod(pod)
  await node.logged('resource registered', 2)
  await described(node, 0)
  assert.equal(readFileSync(join(node.cdiDir, 'other.json'), 'utf8'), '{}')
})

test('with device-nodes no spec is written, and the answer has the nodes themselves', async (t) => {
  const node = await startNode(t, { deviceInjection: 'device-nodes' })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const admission = await node.kubelet.admit({ ...pod, resource, count: 1 })
  assert.ok(admission.admitted)
  const { iommuGroup } = node.bus.cards().find((card) => card.bdf === bdf) ?? {}
  assert.deepEqual(admission.response?.cdiDevices, [])
  assert.equal(admission.response?.devices[1]?.containerPath, `/dev/vfio/${iommuGroup}`)
  assert.equal(readCdiRegistry(node.cdiDir).devices.size, 0)
})
