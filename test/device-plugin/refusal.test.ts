// What the device plugin never does to a card, and what it says instead.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import type { HostLink, HostLinks } from '../../src/device-plugin/host-links.ts'
import { systemClock } from '../../src/device-plugin/monotonic-clock.ts'
import { resource } from './cluster-in-memory.ts'
import { type NodeUnderTest, primaryMac, startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'

test('the primary card is left alone, even when an ENIAttachment names its MAC', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  node.cluster.addAttachment('a', { mac: primaryMac })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'InterfaceInUse')
  assert.equal(node.cluster.device('a')?.failure?.terminal, false)
  assert.equal(node.bus.cards()[0]?.driver, 'ena')
})

const hostUses: Readonly<Record<string, (node: NodeUnderTest, bdf: string) => void>> = {
  'sends through': (node, bdf) => node.bus.useByHost(bdf),
  // The address of the ENI, with routes in a table of their own.
  'has an IPv4 address on': (node, bdf) => node.bus.addressByHost(bdf, '10.0.1.7'),
  'has an IPv6 address on': (node, bdf) => node.bus.addressByHost(bdf, 'fd00:0:0:0:0:0:0:7'),
}
for (const [how, use] of Object.entries(hostUses)) {
  test(`a card that the node itself ${how} keeps the kernel's driver and is not offered`, async (t) => {
    const node = await startNode(t)
    node.cluster.addNodeENI('upf')
    await node.startPlugin()
    const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
    use(node, bdf)
    node.cluster.addAttachment('a', { mac, claim: { namespace: 'core', name: 'upf-0', uid: 'pod-1' } })
    await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'InterfaceInUse')
    await node.passed()
    assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
    assert.equal(node.cluster.device('a')?.acknowledged, undefined)
    assert.equal(node.kubelet.counts().get(resource)?.capacity ?? 0, 0)
  })
}

test('a card that the instance metadata name as the primary is left alone, whatever the routes say', async (t) => {
  const node = await startNode(t, { primaryMac: mac })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  node.cluster.addAttachment('a', { mac })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'InterfaceInUse')
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
})

const lastLooks: Readonly<Record<string, { readonly change: Partial<HostLink>; readonly says: RegExp }>> = {
  'has an IPv4 address of another ENI': {
    change: { addresses: [{ address: '10.9.9.9', prefixLength: 24, scope: 'global' }] },
    says: /has address 10\.9\.9\.9/,
  },
  'carries a VLAN': { change: { uppers: ['ens6.100'] }, says: /carries ens6\.100/ },
  'belongs to a bridge': { change: { master: 'br0' }, says: /belongs to br0/ },
}
for (const [how, { change, says }] of Object.entries(lastLooks)) {
  test(`a card whose interface ${how}, as only the last look before the bind shows, is left alone`, async (t) => {
    const links = (real: HostLinks): HostLinks => ({
      ...real,
      show: async () => {
        const shown = await real.show()
        if (shown.kind === 'failed') return shown
        return { kind: 'shown', links: shown.links.map((link) => (link.mac === mac ? { ...link, ...change } : link)) }
      },
    })
    const node = await startNode(t, { links })
    node.cluster.addNodeENI('upf')
    await node.startPlugin()
    const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
    node.cluster.addAttachment('a', { mac })
    await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'InterfaceInUse')
    assert.match(node.cluster.device('a')?.failure?.message ?? '', says)
    assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
  })
}

test('a card is left alone while nothing is known of the links of the node', async (t) => {
  let message: string | undefined = 'ip: no answer within 5000 ms'
  const links = (real: HostLinks): HostLinks => ({
    ...real,
    show: async () => (message === undefined ? real.show() : { kind: 'failed', message }),
  })
  const node = await startNode(t, { links })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  node.cluster.addAttachment('a', { mac })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'HostLinksUnknown')
  assert.equal(node.bus.cards().find((card) => card.mac === mac)?.driver, 'ena')
  message = undefined
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
})

test('a card that no ENIAttachment names is left alone', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const stranger = await node.bus.plug({ mac: '02:00:00:00:00:99', eniId: 'eni-x', deviceIndex: 2 })
  await node.acknowledged('a', mac, 'pod-1')
  assert.equal(node.bus.cards().find(({ bdf }) => bdf === stranger.bdf)?.driver, 'ena')
})

test('an attachment for another instance of the same node name is none of ours', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  node.cluster.addAttachment('old', { mac: '02:00:00:00:00:99', spec: { instanceID: 'i-old' } })
  const stranger = await node.bus.plug({ mac: '02:00:00:00:00:99', eniId: 'eni-old', deviceIndex: 2 })
  await node.acknowledged('a', mac, 'pod-1')
  assert.equal(node.bus.cards().find(({ bdf }) => bdf === stranger.bdf)?.driver, 'ena')
  assert.equal(node.cluster.device('old'), undefined)
})

test('a card is not taken whose interface sysfs shows and netlink does not: nobody knows its addresses', async (t) => {
  const links = (real: HostLinks): HostLinks => ({ ...real, show: async () => ({ kind: 'shown', links: [] }) })
  const node = await startNode(t, { links })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  node.cluster.addAttachment('a', { mac })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'HostLinksUnknown')
  assert.match(node.cluster.device('a')?.failure?.message ?? '', /is in sysfs and not in the network namespace/)
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
})

test('a card at another address than dpdkPCIAddress says is refused for good', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf', { dpdkPCIAddress: '0000:00:1f.0' })
  await node.startPlugin()
  node.cluster.addAttachment('a', { mac })
  const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'PCIAddressMismatch')
  assert.equal(node.cluster.device('a')?.failure?.terminal, true)
  assert.equal(node.cluster.get('a')?.status?.phase, 'Failed')
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
})

test('a card whose vendor and device the setting does not name is refused for good', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  node.cluster.addAttachment('a', { mac })
  const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1, deviceID: '8086:1889' })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'DeviceNotAllowed')
  assert.equal(node.cluster.get('a')?.status?.phase, 'Failed')
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
})

test('a card whose IOMMU group somebody else uses is refused, and the other function of the group is not touched', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  const disk = node.bus.addFunction(bdf, { pciClass: '0x010802', deviceID: '1d0f:8061', driver: 'nvme' })
  const written: unknown[] = []
  node.bus.effects.on('write-refused', (write) => written.push(write))
  node.cluster.addAttachment('a', { mac })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'GroupInUse')
  await node.passed()
  assert.match(node.cluster.device('a')?.failure?.message ?? '', new RegExp(`${disk}.*nvme`))
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
  assert.deepEqual(written, [])
})

test('of two cards of ours in one IOMMU group both are bound and one is offered, until it is released', async (t) => {
  const otherMac = '02:00:00:00:00:67'
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  node.bus.addFunction(bdf, { pciClass: '0x060400', deviceID: '1d0f:0200', driver: 'pcieport' })
  const mate = await node.bus.plug({ mac: otherMac, eniId: 'eni-b', deviceIndex: 2, inGroupOf: bdf })
  const failure = (name: string) => node.cluster.device(name)?.failure
  // The one with the higher address first, so it is the list that counts and not the address.
  node.cluster.addAttachment('b', { mac: otherMac })
  await node.cluster.until(() => failure('b')?.reason === 'GroupInUse')
  node.cluster.addAttachment('a', { mac })
  await node.cluster.until(() => [failure('a')?.reason, failure('b')?.reason].filter(Boolean).length === 1)
  const [offered, kept] = failure('a') === undefined ? ['a', 'b'] : ['b', 'a']
  await node.cluster.until(
    () => node.cluster.device(offered)?.advertised === true && failure(kept)?.reason === 'GroupInUse',
  )
  const cards = node.bus.cards().slice(1)
  assert.deepEqual(
    cards.map(({ driver }) => driver),
    ['vfio-pci', 'vfio-pci'],
  )
  assert.match(failure(kept)?.message ?? '', new RegExp(`group ${mate.iommuGroup}.*which is offered to pods`))

  const pod = { namespace: 'core', name: 'upf-0' }
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  assert.equal((await node.kubelet.admit({ namespace: 'core', name: 'upf-1', resource, count: 1 })).admitted, false)
  await node.stopPlugin()
  await node.startPlugin()
  await node.cluster.until(
    () => node.cluster.device(offered)?.advertised === true && failure(kept)?.reason === 'GroupInUse',
  )

  node.kubelet.endPod(pod)
  node.cluster.delete(offered)
  await node.cluster.until(() => node.cluster.isReleased(offered))
  await node.bus.unplug({ mac: offered === 'a' ? mac : otherMac })
  await node.cluster.until(() => node.cluster.device(kept)?.advertised === true)
})

test('a card that vfio-pci refuses goes back to the kernel, and is tried again until it works', async (t) => {
  const node = await startNode(t, { iommu: 'noiommu', settleDeadlineMs: 200 })
  const mode = join(node.root, 'sys/module/vfio/parameters/enable_unsafe_noiommu_mode')
  writeFileSync(mode, 'N\n')
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  node.cluster.addAttachment('a', { mac, claim: { namespace: 'core', name: 'upf-0', uid: 'pod-1' } })
  await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'NoIOMMU')
  assert.equal(node.cluster.device('a')?.failure?.terminal, false)
  assert.equal(node.cluster.device('a')?.driver, 'ena')
  assert.match(
    node.cluster.device('a')?.failure?.message ?? '',
    /no IOMMU.*is off.*kernel has the card again.*echo 1 >/,
  )
  writeFileSync(mode, 'Y\n')
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-1')
  assert.equal(node.cluster.device('a')?.failure, undefined)
})

test('a card that vfio-pci refuses long after the start ends its ENI: nobody is about to switch the mode on', async (t) => {
  let aheadMs = 0
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + aheadMs }
  const node = await startNode(t, { iommu: 'noiommu', settleDeadlineMs: 200, clock })
  writeFileSync(join(node.root, 'sys/module/vfio/parameters/enable_unsafe_noiommu_mode'), 'N\n')
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  aheadMs = 4 * 60_000
  node.cluster.addAttachment('a', { mac, claim: { namespace: 'core', name: 'upf-0', uid: 'pod-1' } })
  await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'NoIOMMU')
  assert.equal(node.cluster.device('a')?.failure?.terminal, true)
})

test('a card that vfio-pci can never take ends its ENI at the first try, and the release finds nothing left to do', async (t) => {
  const node = await startNode(t, { iommu: 'none', settleDeadlineMs: 200 })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  node.cluster.addAttachment('a', { mac, claim: { namespace: 'core', name: 'upf-0', uid: 'pod-1' } })
  const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'NoIOMMU')
  assert.equal(node.cluster.device('a')?.failure?.terminal, true)
  assert.match(
    node.cluster.device('a')?.failure?.message ?? '',
    /CONFIG_VFIO_NOIOMMU.*kernel has the card again; use an instance/,
  )
  node.cluster.setClaim('a', undefined)
  node.cluster.delete('a')
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
})

test("with enableDPDK false the card keeps the kernel's driver and the pod gets its name alone", async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf', { enableDPDK: false })
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  assert.equal(node.cluster.device('a')?.driver, 'ena')
  const pod = await node.kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })
  assert.ok(pod.admitted)
  assert.equal(pod.response?.envs['PCIDEVICE_INTEL_COM_UPF_DATAPLANE'], bdf)
  assert.deepEqual(pod.response?.devices, [])
})

test('a card without a resource is bound and reported, and never offered', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const attachment = node.cluster.addAttachment('a', { mac, spec: { resourceName: undefined } })
  assert.equal(attachment.spec.resourceName, undefined)
  await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')
  assert.equal(node.cluster.device('a')?.driver, 'vfio-pci')
  assert.equal(node.cluster.device('a')?.advertised, false)
  assert.equal(node.kubelet.counts().get(resource)?.capacity ?? 0, 0)
})
