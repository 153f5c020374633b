// The device plugin is killed, or the node reboots: what was true before is found again.
import assert from 'node:assert/strict'
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
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  await node.cluster.until(() => node.cluster.device('a')?.advertised === true)
  assert.deepEqual(node.cluster.device('a'), before)
  assert.equal(node.lines('card bound').length, 1)

  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  node.kubelet.endPod({ namespace: 'core', name: 'upf-0' })
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
})

test('after a reboot the card is bound again, and its claim acknowledged once its old pod is gone', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  await node.stopPlugin()
  node.kubelet.stop()
  await node.bus.reboot()
  await node.kubelet.start()
  await node.startPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.equal(node.bus.cards().find((card) => card.mac === mac)?.driver, 'vfio-pci')
  await node.logged('device advertised')
  assert.equal(node.lines('card bound').length, 2)
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
