// Kernel-bound ENIs from the card that is plugged to the interface that is as it was before: plain ones, and such that pods ask
// for. With interfaces in memory, and with real links and the real `ip`.
import assert from 'node:assert/strict'
import { suite, test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'

import type { HostLink, HostLinks, LinkChange } from '../../src/device-plugin/host-links.ts'
import { resource } from './cluster-in-memory.ts'
import { type NodeOptions, type NodeUnderTest, startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'
const otherMac = '02:00:00:00:00:67'
const plain = { enableDPDK: false, dpdkResourceName: undefined }
const forPods = { enableDPDK: false }

for (const interfaces of ['simulated', 'veth'] as const) {
  suite(`a plain ENI (${interfaces})`, () => {
    test('is set up under the name of its NodeENI, keeps what users give it, and is as before after its release', async (t) => {
      const node = await started(t)
      node.cluster.addNodeENI('upf-control', { ...plain, mtu: 1400 })
      const bdf = await plugged(node, 'a', 'upf-control')
      const link = await linkOf(node)
      assert.deepEqual([link.isUp, link.mtu, link.altNames], [true, 1400, ['upf-control']])
      const device = node.cluster.device('a')
      assert.deepEqual([device?.interface, device?.health, device?.driver], [link.name, 'Healthy', 'ena'])

      node.bus.addressByHost(bdf, '10.0.1.7')
      await node.passed()
      await node.passed()
      assert.equal(node.cluster.device('a')?.health, 'Healthy')
      const address = (await linkOf(node)).addresses.find(({ scope }) => scope === 'global')
      assert.equal(address?.address, '10.0.1.7')

      node.cluster.delete('a')
      await node.cluster.until(() => node.cluster.isReleased('a'))
      const released = await linkOf(node)
      assert.deepEqual([released.isUp, released.mtu, released.altNames], [false, 1500, []])
      assert.equal(released.addresses.find(({ scope }) => scope === 'global')?.address, '10.0.1.7')
    })

    test('gets the interfaceName and the mtu of its NodeENI, and follows their edits', async (t) => {
      const node = await started(t)
      node.cluster.addNodeENI('upf', { ...plain, mtu: 1400, interfaceName: 'n2' })
      await plugged(node, 'a', 'upf')
      assert.deepEqual((await linkOf(node)).altNames, ['n2'])
      node.cluster.addNodeENI('upf', { ...plain, mtu: 1300, interfaceName: 'n3' })
      await linkIs(node, ({ mtu, altNames }) => mtu === 1300 && altNames.includes('n3'))
      assert.deepEqual((await linkOf(node)).altNames, ['n3'])
      node.cluster.addNodeENI('upf', { ...plain, interfaceName: 'n3' })
      await linkIs(node, ({ mtu }) => mtu === 1500)
    })

    test('is restored by a plugin that was started after the one that set it up was killed', async (t) => {
      const node = await started(t)
      node.cluster.addNodeENI('upf-control', { ...plain, mtu: 1400 })
      await plugged(node, 'a', 'upf-control')
      await node.stopPlugin()
      node.cluster.delete('a')
      await node.startPlugin()
      await node.cluster.until(() => node.cluster.isReleased('a'))
      const released = await linkOf(node)
      assert.deepEqual([released.isUp, released.mtu, released.altNames], [false, 1500, []])
    })

    test('is released when the pod has ended into which a CNI has put its interface, and not before', async (t) => {
      const node = await started(t)
      node.cluster.addNodeENI('upf-control', { ...plain, mtu: 1400 })
      const bdf = await plugged(node, 'a', 'upf-control')
      node.bus.moveToPod(bdf, 'net1')
      await node.cluster.until(() => node.cluster.device('a')?.interface === undefined)
      node.cluster.delete('a')
      await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'InterfaceInUse')
      assert.equal(node.cluster.isReleased('a'), false)
      node.bus.moveBack(bdf)
      await node.cluster.until(() => node.cluster.isReleased('a'))
      assert.equal((await linkOf(node)).mtu, 1500)
    })

    test('is released when the pods have ended whose links stand on its interface, and not before', async (t) => {
      const node = await started(t)
      node.cluster.addNodeENI('upf-control', { ...plain, mtu: 1400 })
      const bdf = await plugged(node, 'a', 'upf-control')
      node.bus.shareWithPod(bdf, 'net1')
      node.cluster.delete('a')
      await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'InterfaceInUse')
      assert.match(node.cluster.device('a')?.failure?.message ?? '', /carries 1 ipvlan or macvlan/)
      assert.equal(node.cluster.isReleased('a'), false)
      const used = await linkOf(node)
      assert.deepEqual([used.isUp, used.mtu, used.altNames], [true, 1400, ['upf-control']])
      node.bus.endShare(bdf, 'net1')
      await node.cluster.until(() => node.cluster.isReleased('a'))
      assert.equal((await linkOf(node)).mtu, 1500)
    })

    test('is released although its interface has gone', async (t) => {
      const node = await started(t)
      node.cluster.addNodeENI('upf-control', plain)
      await plugged(node, 'a', 'upf-control')
      await node.bus.unplug({ mac })
      node.cluster.delete('a')
      await node.cluster.until(() => node.cluster.isReleased('a'))
    })

    test('is left alone when somebody else has given its interface an address, as is a card of others', async (t) => {
      const node = await started(t)
      node.cluster.addNodeENI('upf-control', { ...plain, mtu: 1400 })
      const canary = await node.bus.plug({ mac: otherMac, eniId: 'eni-x', deviceIndex: 2 })
      node.bus.addressByHost(canary.bdf, '10.0.9.9')
      const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      node.bus.addressByHost(bdf, '10.0.8.8')
      const [before, canaryBefore] = [await linkOf(node), await linkOf(node, otherMac)]
      node.cluster.addAttachment('a', { mac, spec: { nodeENI: 'upf-control', resourceName: undefined } })
      await node.cluster.until(() => node.cluster.device('a')?.failure !== undefined)
      const { reason, message, terminal } = node.cluster.device('a')?.failure ?? {}
      assert.equal(reason, 'InterfaceInUse')
      assert.equal(message, `interface ${before.name} of ${bdf} has address 10.0.8.8; it is left alone`)
      assert.equal(terminal, false)
      await node.passed()
      assert.deepEqual(await linkOf(node), before)
      assert.deepEqual(await linkOf(node, otherMac), canaryBefore)
    })

    test('says that its name is taken, and gets another one when the NodeENI says so', async (t) => {
      const node = await started(t)
      const other = await node.bus.plug({ mac: otherMac, eniId: 'eni-x', deviceIndex: 2 })
      node.cluster.addNodeENI('upf', { ...plain, interfaceName: other.ifname ?? '' })
      node.cluster.addAttachment('a', { mac, spec: { nodeENI: 'upf', resourceName: undefined } })
      await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'InterfaceNameTaken')
      assert.match(
        node.cluster.device('a')?.failure?.message ?? '',
        /set interfaceName of NodeENI upf to another name$/,
      )
      node.cluster.addNodeENI('upf', { ...plain, interfaceName: 'n2' })
      await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
      assert.deepEqual((await linkOf(node)).altNames, ['n2'])
    })

    test('shares the name of its NodeENI with another of the node by a number', async (t) => {
      const node = await started(t)
      node.cluster.addNodeENI('upf', plain)
      node.cluster.addAttachment('a', { mac, spec: { nodeENI: 'upf', resourceName: undefined } })
      node.cluster.addAttachment('b', { mac: otherMac, spec: { nodeENI: 'upf', resourceName: undefined } })
      await node.bus.plug({ mac: otherMac, eniId: 'eni-b', deviceIndex: 2 })
      await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      await node.cluster.until(() => ['a', 'b'].every((name) => node.cluster.device(name)?.health === 'Healthy'))
      assert.deepEqual((await linkOf(node)).altNames, ['upf'])
      assert.deepEqual((await linkOf(node, otherMac)).altNames, ['upf-2'])
    })

    test('is set again when somebody changes it', async (t) => {
      const node = await started(t)
      node.cluster.addNodeENI('upf', { ...plain, mtu: 1400 })
      await plugged(node, 'a', 'upf')
      await change(node, { kind: 'set-mtu', mtu: 1200 })
      await change(node, { kind: 'down' })
      await linkIs(node, ({ mtu, isUp }) => mtu === 1400 && isUp)
      assert.equal(node.cluster.device('a')?.health, 'Healthy')
      assert.deepEqual(node.lines('interface was changed by others, set again')[0]?.['changes'], ['set-mtu', 'up'])
    })

    function started(t: TestContext) {
      return startedNode(t, { interfaces })
    }
  })

  suite(`an ENI that pods ask for and the kernel drives (${interfaces})`, () => {
    test("goes into the pod and comes back changed: it is known, set again, and the next pod's", async (t) => {
      const node = await startedNode(t, { interfaces })
      node.cluster.addNodeENI('upf', { ...forPods, mtu: 1400 })
      const bdf = await node.acknowledged('a', mac, 'pod-1')
      const first = await linkOf(node)
      assert.deepEqual([first.isUp, first.mtu, first.altNames], [true, 1400, ['upf']])
      const pod = await node.kubelet.admit({ namespace: 'core', name: 'pod-1', resource, count: 1 })
      assert.ok(pod.admitted)
      assert.equal(pod.response?.envs['PCIDEVICE_INTEL_COM_UPF_DATAPLANE'], bdf)

      node.bus.moveToPod(bdf, 'net1')
      await node.cluster.until(() => node.cluster.device('a')?.interface === undefined)
      await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'pod-1')
      assert.equal(node.cluster.device('a')?.health, 'Healthy')

      node.kubelet.endPod({ namespace: 'core', name: 'pod-1' })
      node.bus.moveBack(bdf, { mtu: 1280, dropsAltNames: true })
      await linkIs(node, ({ isUp, mtu, altNames }) => isUp && mtu === 1400 && altNames.includes('upf'))
      await node.cluster.until(() => node.cluster.device('a')?.interface === 'net1')
      node.cluster.setClaim('a', { namespace: 'core', name: 'pod-2', uid: 'pod-2' })
      await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-2')

      node.cluster.setClaim('a', undefined)
      node.cluster.delete('a')
      await node.cluster.until(() => node.cluster.isReleased('a'))
      const released = await linkOf(node)
      assert.deepEqual([released.isUp, released.mtu, released.altNames], [false, 1500, []])
    })

    test('is known by the journal when the plugin is killed while its interface is in a pod', async (t) => {
      const node = await startedNode(t, { interfaces })
      node.cluster.addNodeENI('upf', { ...forPods, mtu: 1400 })
      const bdf = await node.acknowledged('a', mac, 'pod-1')
      assert.ok((await node.kubelet.admit({ namespace: 'core', name: 'pod-1', resource, count: 1 })).admitted)
      node.bus.moveToPod(bdf, 'net1')
      await node.cluster.until(() => node.cluster.device('a')?.interface === undefined)
      await node.stopPlugin()
      await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 0)
      await node.startPlugin()
      await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
      assert.equal(node.cluster.device('a')?.inUseBy?.name, 'pod-1')
      node.kubelet.endPod({ namespace: 'core', name: 'pod-1' })
      node.bus.moveBack(bdf, { mtu: 1280, dropsAltNames: true, name: 'other' })
      await linkIs(node, ({ isUp, mtu, altNames }) => isUp && mtu === 1400 && altNames.includes('upf'))
      await node.cluster.until(() => node.cluster.device('a')?.interface === 'other')
    })

    test('stays in the list of the kubelet, as healthy, while its interface is set again', async (t) => {
      const node = await startedNode(t, { interfaces })
      node.cluster.addNodeENI('upf', { ...forPods, mtu: 1400 })
      const bdf = await node.acknowledged('a', mac, 'pod-1')
      const counts: number[] = []
      node.kubelet.effects.on('change', () => counts.push(node.kubelet.counts().get(resource)?.allocatable ?? 0))
      node.bus.moveToPod(bdf, 'net1')
      node.bus.moveBack(bdf, { mtu: 1280 })
      await linkIs(node, ({ isUp, mtu }) => isUp && mtu === 1400)
      await node.passed()
      assert.ok(!counts.includes(0), counts.join())
    })
  })
}

test('a device plugin without NET_ADMIN says that it lacks it, and goes on once it has it', async (t) => {
  const message =
    'ip link set dev if7 up: RTNETLINK answers: Operation not permitted; add NET_ADMIN to the capabilities'
  let isAllowed = false
  const links = (real: HostLinks): HostLinks => ({
    show: () => real.show(),
    change: async (link, made) => (isAllowed ? real.change(link, made) : { kind: 'failed', message }),
  })
  const node = await startedNode(t, { links })
  node.cluster.addNodeENI('upf', plain)
  node.cluster.addAttachment('a', { mac, spec: { resourceName: undefined } })
  await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'InterfaceNotSet')
  // udev may not have renamed it yet.
  assert.match(node.cluster.device('a')?.failure?.message ?? '', /^interface (eth0|ens6): /)
  assert.ok(node.cluster.device('a')?.failure?.message.endsWith(message))
  isAllowed = true
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
  assert.equal(node.cluster.device('a')?.failure, undefined)
})

test('an interface that sysfs shows and netlink does not is named, with what to do', async (t) => {
  const node = await startedNode(t, {
    links: (real) => ({ ...real, show: async () => ({ kind: 'shown', links: [] }) }),
  })
  node.cluster.addNodeENI('upf', plain)
  node.cluster.addAttachment('a', { mac, spec: { resourceName: undefined } })
  await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'InterfaceNotSet')
  assert.match(node.cluster.device('a')?.failure?.message ?? '', /of 0000:00:06.0 is in sysfs.*hostNetwork/)
})

test('an ENI that DPDK has, of a NodeENI that turns to kernel drivers, does not use up the name of the next', async (t) => {
  const node = await startedNode(t, {})
  node.cluster.addNodeENI('upf')
  await node.acknowledged('a', otherMac, 'pod-1')
  node.cluster.addNodeENI('upf', plain)
  node.cluster.addAttachment('b', { mac, spec: { nodeENI: 'upf', resourceName: undefined } })
  await node.bus.plug({ mac, eniId: 'eni-b', deviceIndex: 2 })
  await node.cluster.until(() => node.cluster.device('b')?.health === 'Healthy')
  assert.deepEqual((await linkOf(node)).altNames, ['upf'])
  assert.equal(node.cluster.device('a')?.driver, 'vfio-pci')
})

test('a release whose interface netlink does not show any more is tried again with pauses, and says why', async (t) => {
  let isVisible = true
  let looks = 0
  const links = (real: HostLinks): HostLinks => ({
    ...real,
    show: () => {
      looks++
      return isVisible ? real.show() : Promise.resolve({ kind: 'shown', links: [] })
    },
  })
  const node = await startedNode(t, { links })
  node.cluster.addNodeENI('upf', { ...plain, mtu: 1400 })
  await plugged(node, 'a', 'upf')
  isVisible = false
  node.cluster.delete('a')
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'RestoreFailed')
  assert.match(node.cluster.device('a')?.failure?.message ?? '', /hostNetwork/)
  const before = looks
  for (let pass = 0; pass < 10; pass++) {
    await node.passed()
    await setImmediate()
  }
  assert.ok(looks - before <= 2, `${looks - before} looks in 10 passes`)
  isVisible = true
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal((await linkOf(node)).mtu, 1500)
})

test('an interface is set up after udev has renamed it, which it could not when it is up', async (t) => {
  const node = await startedNode(t, { udev: { renameDelayMs: 200 } })
  let busy = 0
  node.bus.effects.on('net-not-renamed', () => busy++)
  node.cluster.addNodeENI('upf', plain)
  await plugged(node, 'a', 'upf')
  assert.equal((await linkOf(node)).name, 'ens6')
  assert.equal(busy, 0)
})

test('an interface that nobody renames is set up in the end', async (t) => {
  const node = await startedNode(t, { udev: { rename: false } })
  node.cluster.addNodeENI('upf', plain)
  await plugged(node, 'a', 'upf')
  assert.equal((await linkOf(node)).name, 'eth1')
})

test('a release looks once more whether a pod shares the interface, just before it is put back', async (t) => {
  let shares = 0
  const links = (real: HostLinks): HostLinks => ({
    ...real,
    show: async () => {
      const shown = await real.show()
      if (shown.kind === 'failed') return shown
      return { kind: 'shown', links: shown.links.map((link) => ({ ...link, uppersElsewhere: shares })) }
    },
  })
  const node = await startedNode(t, { links })
  node.cluster.addNodeENI('upf', { ...plain, mtu: 1400 })
  await plugged(node, 'a', 'upf')
  await linkIs(node, ({ isUp }) => isUp)
  shares = 1
  node.cluster.delete('a')
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'InterfaceInUse')
  assert.equal((await linkOf(node)).mtu, 1400)
  shares = 0
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal((await linkOf(node)).mtu, 1500)
})

async function startedNode(t: TestContext, options: NodeOptions): Promise<NodeUnderTest> {
  const node = await startNode(t, options)
  await node.startPlugin()
  return node
}

/** A card of a plain ENI that has been set up. Returns its PCI address. */
async function plugged(node: NodeUnderTest, name: string, nodeENI: string): Promise<string> {
  node.cluster.addAttachment(name, { mac, spec: { nodeENI, resourceName: undefined } })
  const { bdf } = await node.bus.plug({ mac, eniId: `eni-${name}`, deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device(name)?.health === 'Healthy')
  return bdf
}

async function linkOf(node: NodeUnderTest, address = mac): Promise<HostLink> {
  const shown = await node.bus.links.show()
  const link = shown.kind === 'shown' ? shown.links.find((seen) => seen.mac === address) : undefined
  assert.ok(link, `no link has MAC ${address}`)
  return link
}

/** Resolves when the interface is so; looks after passes of the plugin, whose work goes on between them. */
async function linkIs(node: NodeUnderTest, isSo: (link: HostLink) => boolean): Promise<void> {
  while (!isSo(await linkOf(node))) {
    await node.passed()
    await setImmediate()
  }
}

async function change(node: NodeUnderTest, made: LinkChange): Promise<void> {
  assert.deepEqual(await node.bus.links.change(await linkOf(node), [made]), { kind: 'changed' })
}
