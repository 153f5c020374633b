// The journal is lost, or cannot be read, while cards are bound: what is sure goes on, what is not is left alone until it is.
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { resource } from './cluster-in-memory.ts'
import { type NodeUnderTest, startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'
const otherMac = '02:00:00:00:00:67'
const pod = { namespace: 'core', name: 'upf-0' }

/** A node whose plugin has one device acknowledged and is stopped. */
async function stoppedNode(t: TestContext): Promise<{ readonly node: NodeUnderTest; readonly bdf: string }> {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  return { node, bdf: await node.acknowledged('a', mac, 'pod-1') }
}

async function stopAndLoseJournal(node: NodeUnderTest): Promise<void> {
  await node.stopPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 0)
  rmSync(join(node.root, 'state'), { recursive: true })
}

const driverAt = (node: NodeUnderTest, bdf: string) => node.bus.cards().find((card) => card.bdf === bdf)?.driver

test('a card that a pod has is recognised at its place, keeps its driver, and is released as ever', async (t) => {
  const { node, bdf } = await stoppedNode(t)
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  node.bus.hold(bdf)
  await stopAndLoseJournal(node)
  const changes: string[] = []
  for (const kind of ['unbound', 'bound'] as const) node.bus.effects.on(kind, () => changes.push(kind))

  await node.startPlugin()
  await node.logged('card recognised without its journal entry')
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.equal(node.cluster.device('a')?.inUseBy?.name, 'upf-0')
  assert.deepEqual(changes, [])

  node.kubelet.endPod(pod)
  node.bus.release(bdf)
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(driverAt(node, bdf), 'ena')
})

test('a file of the journal that cannot be read is as good as none', async (t) => {
  const { node, bdf } = await stoppedNode(t)
  await node.stopPlugin()
  writeFileSync(join(node.root, `state/${bdf}.json`), '{"bootID":')
  await node.startPlugin()
  await node.logged('card recognised without its journal entry')
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.equal(driverAt(node, bdf), 'vfio-pci')
})

test('a card of which nothing is sure is left alone while a pod has it, and shows its MAC when none has it', async (t) => {
  const { node, bdf } = await stoppedNode(t)
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  node.bus.hold(bdf)
  await stopAndLoseJournal(node)
  // Another ENI that is attached, and was once seen where no card is now: something was plugged anew meanwhile.
  const before = node.cluster.addAttachment('b', { mac: otherMac })
  await node.cluster.writeStatus(before, { pciAddress: '0000:00:07.0' })
  const changes: string[] = []
  node.bus.effects.on('unbound', (card) => changes.push(card.bdf))

  await node.startPlugin()
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'CardNotIdentified')
  await node.logged('card not identified; left alone while anybody may have it')
  // Not even to release it.
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.passed()
  assert.deepEqual([changes, node.cluster.isReleased('a')], [[], false])

  node.kubelet.endPod(pod)
  await node.passed()
  assert.deepEqual(changes, [])
  node.bus.release(bdf)
  await node.logged('card identified by its MAC')
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(driverAt(node, bdf), 'ena')
})

test('a card that is not ours after all goes back to the driver that it had, and is not looked at again', async (t) => {
  const { node, bdf } = await stoppedNode(t)
  await stopAndLoseJournal(node)
  // While the plugin is away the ENI is pulled, and somebody else's card takes its place and is given to vfio-pci.
  await node.bus.unplug({ mac })
  const stranger = await node.bus.plug({ mac: '02:00:00:00:00:99', eniId: 'eni-x', deviceIndex: 1 })
  assert.equal(stranger.bdf, bdf)
  await node.giveTo(bdf, 'vfio-pci')
  node.cluster.addAttachment('b', { mac: otherMac })
  await node.cluster.writeStatus(node.cluster.get('b') ?? assert.fail(), { pciAddress: '0000:00:07.0' })

  await node.startPlugin()
  await node.logged('card is not ours, given back to the driver that it had')
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'CardMissing')
  await node.bus.effects.until(() => driverAt(node, bdf) === 'vfio-pci')
  const changes: string[] = []
  node.bus.effects.on('unbound', (card) => changes.push(card.bdf))
  await node.passed()
  await node.passed()
  assert.deepEqual(changes, [])
})

test('a card bound by somebody else, of which nothing says that it is ours, is never touched', async (t) => {
  const { node } = await stoppedNode(t)
  await stopAndLoseJournal(node)
  const stranger = await node.bus.plug({ mac: '02:00:00:00:00:99', eniId: 'eni-x', deviceIndex: 1 })
  await node.giveTo(stranger.bdf, 'vfio-pci')
  const changes: string[] = []
  node.bus.effects.on('unbound', (card) => changes.push(card.bdf))
  await node.startPlugin()
  // With a stranger on the bus the place alone proves nothing: ours is free, and so shows its MAC.
  await node.logged('card identified by its MAC')
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.equal(driverAt(node, stranger.bdf), 'vfio-pci')
  assert.ok(!changes.includes(stranger.bdf))
})
