// A container starts again with what its pod was given at admission, also after a reboot, when its card has another group number and
// its old one may be another card's: it gets its own card, or does not start and is told why.
import assert from 'node:assert/strict'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { bindByHand } from './by-hand.ts'
import { resource } from './cluster-in-memory.ts'
import { type NodeOptions, type NodeUnderTest, startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'
const pod = { namespace: 'core', name: 'upf-0' }

type TestContext = Parameters<typeof startNode>[0]

/** A pod on a node without IOMMU, and another card that is not ours. */
async function withPod(
  t: TestContext,
  options: NodeOptions,
): Promise<{ node: NodeUnderTest; bdf: string; other: string }> {
  const node = await startNode(t, { iommu: 'noiommu', ...options })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const { bdf: other } = await node.bus.plug({ mac: '02:00:00:00:00:77', eniId: 'eni-other', deviceIndex: 2 })
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  return { node, bdf, other }
}

/** The other card is first, and takes the number. */
async function rebooted(node: NodeUnderTest, _bdf: string, other: string): Promise<void> {
  await node.stopPlugin()
  node.kubelet.stop()
  await node.bus.reboot()
  await bindByHand(node, other)
  await node.kubelet.start()
  await node.startPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.equal(await node.kubelet.readmit(pod), null)
}

/** Somebody plays with the drivers while the pod's container is down. */
async function boundAnewByHand(node: NodeUnderTest, bdf: string, other: string): Promise<void> {
  writeFileSync(join(node.root, 'sys/bus/pci/drivers/vfio-pci/unbind'), bdf)
  await node.bus.effects.until(() => node.bus.cards().find((card) => card.bdf === bdf)?.driver === null)
  await node.passed()
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 0)
  await bindByHand(node, other)
  await bindByHand(node, bdf)
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
}

async function groupNode(node: NodeUnderTest, of = pod): Promise<string> {
  const start = await node.kubelet.startContainer(of)
  if (!start.started) return start.reason
  const { hostPath, containerPath } = start.nodes.at(-1) ?? { hostPath: '', containerPath: '' }
  return `${hostPath.replace(node.root, '')} as ${containerPath}`
}

const before = '/dev/vfio/noiommu-0 as /dev/vfio/0'
const after = '/dev/vfio/noiommu-1 as /dev/vfio/1'
const rows = [
  { deviceInjection: 'cdi', expected: new RegExp(`^${after}$`) },
  {
    deviceInjection: 'device-nodes',
    expected:
      /PreStartContainer rpc failed.*the pod was given .*\/dev\/vfio\/noiommu-0 for 0000:00:06\.0, which is .*\/dev\/vfio\/noiommu-1 since.*delete the pod/,
  },
] as const

const stories = { 'a reboot': rebooted, 'an unbind and a bind by hand': boundAnewByHand }

for (const [name, story] of Object.entries(stories)) {
  for (const { deviceInjection, expected } of rows) {
    test(`${deviceInjection}: after ${name} with another group number no pod runs on the card of another`, async (t) => {
      const { node, bdf, other } = await withPod(t, { deviceInjection })
      assert.equal(await groupNode(node), before)
      assert.equal(await groupNode(node), before, 'the container has crashed and starts again')
      await story(node, bdf, other)
      assert.match(await groupNode(node), expected)

      node.kubelet.endPod(pod)
      await node.cluster.until(() => node.cluster.device('a')?.inUseBy === undefined)
      const next = { namespace: 'core', name: 'upf-1' }
      assert.ok((await node.kubelet.admit({ ...next, resource, count: 1 })).admitted)
      assert.equal(await groupNode(node, next), after)
    })
  }
}

test('device-nodes: what was given outlives the plugin, and is forgotten when nobody has it', async (t) => {
  const { node } = await withPod(t, { deviceInjection: 'device-nodes' })
  const records = () => readdirSync(join(node.root, 'allocations'))
  await node.stopPlugin()
  await node.startPlugin()
  await node.logged('resource registered', 2)
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.equal(await groupNode(node), before)
  assert.equal(records().length, 1)
  node.kubelet.endPod(pod)
  while (records().length > 0) {
    await node.passed()
    // A pass alone lets no file be removed.
    await new Promise(setImmediate)
  }
})

test('device-nodes: without the record no container starts, and a pod whose allocation cannot be recorded is refused', async (t) => {
  const { node } = await withPod(t, { deviceInjection: 'device-nodes' })
  await node.stopPlugin()
  const directory = join(node.root, 'allocations')
  for (const name of readdirSync(directory)) writeFileSync(join(directory, name), '{"resource":')
  await node.startPlugin()
  await node.logged('allocation record removed: it cannot be read')
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.match(await groupNode(node), /is not on record; delete the pod/)

  node.kubelet.endPod(pod)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy === undefined)
  rmSync(directory, { recursive: true })
  const refused = await node.kubelet.admit({ namespace: 'core', name: 'upf-1', resource, count: 1 })
  assert.match(refused.admitted ? '' : refused.message, /the allocation of 0000:00:06\.0 is not on record: .*ENOENT/)
})

test('cdi: pods that were given nodes before the setting was changed are checked as before', async (t) => {
  const { node, bdf, other } = await withPod(t, { deviceInjection: 'device-nodes' })
  node.deviceInjection = 'cdi'
  await rebooted(node, bdf, other)
  assert.match(await groupNode(node), /the pod was given .*noiommu-0 .*noiommu-1/)
})
