// The device plugin starts anew, or the node does: what was true before is found again. (main.test.ts kills it.)
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { resource } from './cluster-in-memory.ts'
import { startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'

test('a card bound to vfio-pci, which shows no MAC, is known again by the journal', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const pod = await node.kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })
  assert.ok(pod.admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  const before = node.cluster.device('a')
  await node.stopPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 0)

  await node.startPlugin()
  await node.logged('resource registered', 2)
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  await once(node.kubelet.effects, 'pods-listed')
  await node.passed()
  assert.deepEqual(node.cluster.device('a'), before)
  assert.equal(node.lines('card bound').length, 1)

  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  node.kubelet.endPod({ namespace: 'core', name: 'upf-0' })
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
})

test('a claim that came meanwhile is acknowledged only when the kubelet has the device from the new process', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  await node.stopPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 0)
  node.cluster.setClaim('a', { namespace: 'core', name: 'upf-1', uid: 'pod-2' })
  node.kubelet.refuseRegister('not now')

  await node.startPlugin()
  await node.cluster.until(() => node.cluster.device('a')?.advertised === false)
  assert.deepEqual(
    node.cluster.written.filter(({ device }) => device.acknowledged === 'pod-2'),
    [],
  )
  node.kubelet.refuseRegister(null)
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-2')
})

test('a pod keeps its device in the status when the plugin starts before the kubelet, however long that takes', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  assert.ok((await node.kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  await node.stopPlugin()
  node.kubelet.stop()
  await node.startPlugin()
  await node.cluster.until(() => node.cluster.device('a')?.advertised === false)
  assert.equal(node.cluster.device('a')?.inUseBy?.name, 'upf-0')
})

test('after a reboot the card is bound again, and its claim acknowledged once its old pod is gone', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  const old = { namespace: 'core', name: 'upf-0' }
  assert.ok((await node.kubelet.admit({ ...old, resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'upf-0')
  await node.stopPlugin()
  node.kubelet.stop()
  await node.bus.reboot()
  // The kubelet's checkpoint has the old pod still.
  await node.kubelet.start()
  node.cluster.setClaim('a', { namespace: 'core', name: 'upf-1', uid: 'pod-2' })
  await node.startPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.equal(node.bus.cards().find((card) => card.mac === mac)?.driver, 'vfio-pci')
  assert.equal(node.lines('card bound').length, 2)
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === undefined)
  assert.equal(node.cluster.device('a')?.inUseBy?.name, 'upf-0')

  node.kubelet.endPod(old)
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-2')
  assert.ok(node.cluster.written.every(({ device }) => device.acknowledged !== 'pod-2' || device.inUseBy === undefined))
})

test('a card of ours that no ENIAttachment names any more is named in the log and left alone', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  node.cluster.forceAway('a')
  await node.logged('card is ours and no ENIAttachment names it; left alone')
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.capacity === 0)
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'vfio-pci')
})
