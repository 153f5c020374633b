// The interfaces of cards: the same behaviour in memory and as real links, by what iproute2 says and what sysfs shows.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { suite, test, type TestContext } from 'node:test'

import { type PciBus, startPciBus } from '../../sim/pci/bus.ts'
import type { HostLink, LinkChange } from '../../src/device-plugin/host-links.ts'

const mac = '02:00:00:00:00:66'
const otherMac = '02:00:00:00:00:67'

for (const interfaces of ['simulated', 'veth', 'veth-in-machine-namespace'] as const) {
  suite(`an interface (${interfaces})`, () => {
    test('appears down, with the MAC of its card, under the name that sysfs shows', async (t) => {
      const bus = await started(t)
      const { ifname } = await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      const link = await linkOf(bus, mac)
      assert.equal(link.name, ifname)
      assert.match(link.name, /ens6$/)
      assert.equal(link.isUp, false)
      assert.equal(link.mtu, 1500)
      assert.deepEqual(link.altNames, [])
      assert.deepEqual(link.uppers, [])
      assert.equal(link.master, undefined)
    })

    test('is set up, gets an MTU and an alternative name, and loses them', async (t) => {
      const bus = await started(t)
      const { bdf } = await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      await changed(bus, mac, { kind: 'up' })
      await changed(bus, mac, { kind: 'set-mtu', mtu: 8000 })
      await changed(bus, mac, { kind: 'add-alt-name', altName: 'upf-control' })
      const set = await linkOf(bus, mac)
      assert.deepEqual([set.isUp, set.mtu, set.altNames], [true, 8000, ['upf-control']])
      const { ifname } = bus.cards().find((card) => card.bdf === bdf) ?? {}
      assert.ok(existsSync(`${bus.root}/sys/class/net/${ifname}`))
      await changed(bus, mac, { kind: 'down' })
      await changed(bus, mac, { kind: 'set-mtu', mtu: 1500 })
      await changed(bus, mac, { kind: 'remove-alt-name', altName: 'upf-control' })
      const unset = await linkOf(bus, mac)
      assert.deepEqual([unset.isUp, unset.mtu, unset.altNames], [false, 1500, []])
    })

    test('gets no name that another one has, as its name or beside it', async (t) => {
      const bus = await started(t)
      await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      const { ifname } = await bus.plug({ mac: otherMac, eniId: 'eni-b', deviceIndex: 2 })
      await changed(bus, otherMac, { kind: 'add-alt-name', altName: 'upf-control' })
      const link = await linkOf(bus, mac)
      for (const altName of ['upf-control', ifname ?? '']) {
        assert.deepEqual(await bus.links.change(link, [{ kind: 'add-alt-name', altName }]), {
          kind: 'name-taken',
          altName,
        })
      }
    })

    test('says why it takes no MTU beyond its bounds', async (t) => {
      const bus = await started(t)
      await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      const outcome = await bus.links.change(await linkOf(bus, mac), [{ kind: 'set-mtu', mtu: 70_000 }])
      assert.ok(outcome.kind === 'failed')
      assert.match(outcome.message, /mtu greater than device maximum/)
    })

    test('is not changed under another MAC or index than it has', async (t) => {
      const bus = await started(t)
      await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      const link = await linkOf(bus, mac)
      assert.deepEqual(await bus.links.change({ ...link, mac: otherMac }, [{ kind: 'up' }]), { kind: 'gone' })
      assert.deepEqual(await bus.links.change({ ...link, index: 4_000_000 }, [{ kind: 'up' }]), { kind: 'gone' })
      assert.equal((await linkOf(bus, mac)).isUp, false)
    })

    test('goes into a pod and comes back down, changed, with its alternative name', async (t) => {
      const bus = await started(t)
      const { bdf, ifname } = await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      await changed(bus, mac, { kind: 'up' })
      await changed(bus, mac, { kind: 'add-alt-name', altName: 'upf-control' })
      bus.moveToPod(bdf, 'net1')
      assert.equal(await findLink(bus, mac), undefined)
      assert.equal(bus.cards().find((card) => card.bdf === bdf)?.ifname, null)
      assert.ok(!existsSync(`${bus.root}/sys/class/net/${ifname}`))
      bus.moveBack(bdf, { mtu: 1400, name: `x${process.pid}` })
      const link = await linkOf(bus, mac)
      assert.deepEqual([link.isUp, link.mtu, link.altNames], [false, 1400, ['upf-control']])
      // In the machine's namespace names of our own stand before it.
      assert.match(link.name, new RegExp(`x${process.pid}$`))
      assert.equal(bus.cards().find((card) => card.bdf === bdf)?.ifname, link.name)
      bus.moveToPod(bdf, 'net1')
      bus.moveBack(bdf, { dropsAltNames: true })
      assert.deepEqual((await linkOf(bus, mac)).altNames, [])
    })

    test('shows the address that somebody gives it', async (t) => {
      const bus = await started(t)
      const { bdf } = await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      bus.addressByHost(bdf, '10.0.1.7')
      const { addresses } = await linkOf(bus, mac)
      assert.deepEqual(addresses, [{ address: '10.0.1.7', prefixLength: 24, scope: 'global' }])
    })

    test('shows how many links of pods stand on it, and only while they do', async (t) => {
      const bus = await started(t)
      const { bdf } = await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      const seen = async () => (await linkOf(bus, mac)).uppersElsewhere
      assert.equal(await seen(), 0)
      await changed(bus, mac, { kind: 'up' })
      assert.equal(await seen(), 0)
      bus.shareWithPod(bdf, 'net1')
      bus.shareWithPod(bdf, 'net2')
      assert.equal(await seen(), 2)
      bus.endShare(bdf, 'net1')
      assert.equal(await seen(), 1)
      bus.endShare(bdf, 'net2')
      assert.equal(await seen(), 0)
    })

    test('ends with its card, also while it is in a pod', async (t) => {
      const bus = await started(t)
      const { bdf } = await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
      bus.moveToPod(bdf, 'net1')
      await bus.unplug({ mac })
      assert.equal(await findLink(bus, mac), undefined)
    })

    function started(t: TestContext): Promise<PciBus> {
      return startedBus(t, interfaces)
    }
  })
}

test('sysfs follows a change that somebody else makes of a real link', async (t) => {
  const bus = await startedBus(t, 'veth')
  const { bdf, ifname } = await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  const directory = `${bus.root}/sys/bus/pci/devices/${bdf}/net`
  assert.equal(readFileSync(`${directory}/${ifname}/mtu`, 'utf8'), '1500\n')
  execFileSync('ip', [
    '-n',
    bus.networkNamespace ?? '',
    'link',
    'set',
    'dev',
    ifname ?? '',
    'name',
    'other',
    'mtu',
    '1600',
  ])
  await bus.effects.until(() => bus.cards().find((card) => card.bdf === bdf)?.ifname === 'other')
  assert.equal(readFileSync(`${directory}/other/mtu`, 'utf8'), '1600\n')
})

async function startedBus(t: TestContext, interfaces: 'simulated' | 'veth' | 'veth-in-machine-namespace') {
  const root = mkdtempSync('/tmp/jpci-')
  const bus = await startPciBus({ root, iommu: 'vfio', primaryMac: '02:00:00:00:00:01', interfaces })
  t.after(() => {
    bus.stop()
    rmSync(root, { recursive: true, force: true })
  })
  return bus
}

async function findLink(bus: PciBus, address: string): Promise<HostLink | undefined> {
  const shown = await bus.links.show()
  assert.ok(shown.kind === 'shown')
  return shown.links.find((link) => link.mac === address)
}

async function linkOf(bus: PciBus, address: string): Promise<HostLink> {
  const link = await findLink(bus, address)
  assert.ok(link, `no link has MAC ${address}`)
  return link
}

async function changed(bus: PciBus, address: string, change: LinkChange): Promise<void> {
  assert.deepEqual(await bus.links.change(await linkOf(bus, address), [change]), { kind: 'changed' })
}
