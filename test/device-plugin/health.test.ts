// What makes a device Unhealthy, what it says then, and how it comes back; a pod that has it goes on.
import assert from 'node:assert/strict'
import { linkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'

import { resource } from './cluster-in-memory.ts'
import { type NodeUnderTest, startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'
const pod = { namespace: 'core', name: 'upf-0' }

async function nodeWithDevice(t: TestContext): Promise<{ readonly node: NodeUnderTest; readonly bdf: string }> {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  return { node, bdf: await node.acknowledged('a', mac, 'pod-1') }
}

const allocatable = (node: NodeUnderTest) => node.kubelet.counts().get(resource)?.allocatable
const failure = (node: NodeUnderTest) => node.cluster.device('a')?.failure?.reason
const driverAt = (node: NodeUnderTest, bdf: string) => node.bus.cards().find((card) => card.bdf === bdf)?.driver
/** The simulator's device numbers of groups (sim/pci/device-node.ts). */
const groupMajor = 60

test('without the device node of its group a device is Unhealthy; it recovers, at once the first time and later the second', async (t) => {
  const { node, bdf } = await nodeWithDevice(t)
  const { deviceNode, iommuGroup } = node.bus.cards().find((card) => card.bdf === bdf) ?? {}
  const path = join(node.root, deviceNode ?? '')
  const lose = async () => {
    rmSync(path)
    await node.cluster.until(() => failure(node) === 'DeviceNodeMissing')
    await node.kubelet.effects.until(() => allocatable(node) === 0)
    assert.equal(node.cluster.device('a')?.health, 'Unhealthy')
    linkSync(join(node.root, `.nodes/${groupMajor}-${iommuGroup}`), path)
  }
  await lose()
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
  await node.kubelet.effects.until(() => allocatable(node) === 1)
  assert.equal(
    node.cluster.written.some(({ device }) => device.failure?.reason === 'Flapping'),
    false,
  )

  await lose()
  await node.cluster.until(() => failure(node) === 'Flapping')
  assert.equal(allocatable(node), 0)
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
  await node.kubelet.effects.until(() => allocatable(node) === 1)
})

for (const driver of ['ena', 'igb_uio']) {
  test(`a free card that somebody gives to ${driver} is bound again, and says so meanwhile`, async (t) => {
    const { node, bdf } = await nodeWithDevice(t)
    await node.giveTo(bdf, driver)
    await node.logged('card bound', 2)
    await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
    await node.kubelet.effects.until(() => allocatable(node) === 1)
    assert.equal(driverAt(node, bdf), 'vfio-pci')
    const [told] = node.lines('device not usable')
    assert.equal(told?.['reason'], 'DriverChanged')
    assert.match(String(told?.['message']), new RegExp(`from vfio-pci to (${driver}|no driver)`))
  })
}

test("a free card that pods ask for with the kernel's driver goes back to it, set up, when somebody has given it to another", async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf', { enableDPDK: false, mtu: 1400 })
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const told = node.logged('device not usable')
  await node.giveTo(bdf, 'vfio-pci')
  await told
  assert.equal(node.lines('device not usable')[0]?.['reason'], 'DriverChanged')
  await node.logged('card restored')
  assert.equal(driverAt(node, bdf), 'ena')
  const mtu = async () => {
    const shown = await node.bus.links.show()
    return shown.kind === 'shown' ? shown.links.find((link) => link.mac === mac)?.mtu : undefined
  }
  while ((await mtu()) !== 1400) {
    await node.passed()
    await setImmediate()
  }
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
  await node.kubelet.effects.until(() => allocatable(node) === 1)
})

test("a card with the kernel's driver that somebody gives to another while a pod has it goes back when that pod has ended", async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf', { enableDPDK: false })
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  await node.giveTo(bdf, 'vfio-pci')
  await node.cluster.until(() => failure(node) === 'DriverChanged')
  await node.passed()
  assert.equal(driverAt(node, bdf), 'vfio-pci')
  node.kubelet.endPod(pod)
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
  assert.equal(driverAt(node, bdf), 'ena')
})

test('a free card that a process has open, in no pod, is for no pod until that process has closed it', async (t) => {
  const { node, bdf } = await nodeWithDevice(t)
  node.bus.hold(bdf)
  await node.cluster.until(() => failure(node) === 'CardInUse')
  assert.equal(node.cluster.device('a')?.health, 'Unhealthy')
  await node.kubelet.effects.until(() => allocatable(node) === 0)
  assert.equal(driverAt(node, bdf), 'vfio-pci')

  node.bus.release(bdf)
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
  await node.kubelet.effects.until(() => allocatable(node) === 1)
})

test('a card that its pod has open is as good as before', async (t) => {
  const { node, bdf } = await nodeWithDevice(t)
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  node.bus.hold(bdf)
  await node.passed()
  assert.equal(node.cluster.device('a')?.failure, undefined)
  assert.equal(allocatable(node), 1)
  node.bus.release(bdf)
})

test('a card that somebody takes from its driver while a pod has it is bound again when that pod has ended', async (t) => {
  const { node, bdf } = await nodeWithDevice(t)
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  await node.giveTo(bdf, 'ena')
  await node.cluster.until(() => failure(node) === 'DriverChanged')
  await node.passed()
  assert.equal(driverAt(node, bdf), 'ena')
  assert.equal(node.cluster.device('a')?.inUseBy?.name, 'upf-0')
  node.kubelet.endPod(pod)
  await node.logged('card bound', 2)
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
})

test('a device whose ENI EC2 says is detached is Unhealthy, also while its card is still there, until it is attached again', async (t) => {
  const { node } = await nodeWithDevice(t)
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  node.cluster.setEni('a', (eni) => ({ ...eni, attached: false, attachedTime: '2030-01-01T00:00:00.000Z' }))
  await node.cluster.until(() => failure(node) === 'ENIDetached')
  await node.kubelet.effects.until(() => allocatable(node) === 0)
  assert.equal(node.cluster.device('a')?.inUseBy?.name, 'upf-0')
  node.cluster.setEni('a', (eni) => ({ ...eni, attached: true }))
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
  await node.kubelet.effects.until(() => allocatable(node) === 1)
})

test('a device that is held back for its flapping rests: it is not described again at every pass', async (t) => {
  const { node } = await nodeWithDevice(t)
  for (const times of [1, 2]) {
    node.cluster.setEni('a', (eni) => ({ ...eni, attached: false, attachedTime: '2030-01-01T00:00:00.000Z' }))
    await node.cluster.until(() => failure(node) === 'ENIDetached')
    node.cluster.setEni('a', (eni) => ({ ...eni, attached: true }))
    await node.cluster.until(() =>
      times === 1 ? node.cluster.device('a')?.health === 'Healthy' : failure(node) === 'Flapping',
    )
  }
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.capacity === 0)
  await node.cluster.until(() => node.cluster.device('a')?.advertised === false)
  const before = node.cluster.written.length
  for (let pass = 0; pass < 50; pass++) {
    await node.passed()
    await setImmediate()
  }
  // Its description, which had gone with the ENI, may still be on its way.
  assert.ok(node.cluster.written.length - before <= 2, `${node.cluster.written.length - before} writes in 50 passes`)
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
})
