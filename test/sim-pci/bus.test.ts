// The simulated PCI bus: what appears in sysfs when cards come and go, and what writes to the control files do.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { constants, existsSync, readdirSync, readFileSync, readlinkSync, statSync, watch } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, isAbsolute, join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { startPciBus, type PciBus, type PciBusOptions } from '../../sim/pci/bus.ts'

const primaryMac = '02:00:00:00:00:01'
const first = { mac: '02:00:00:00:00:06', eniId: 'eni-6', deviceIndex: 1 }
const second = { mac: '02:00:00:00:00:07', eniId: 'eni-7', deviceIndex: 2 }
const bdf = '0000:00:06.0'

async function start(t: TestContext, options: Partial<PciBusOptions> = {}): Promise<PciBus> {
  const root = await mkdtemp(join(tmpdir(), 'pci-'))
  const bus = await startPciBus({ root, iommu: 'noiommu', primaryMac, ...options })
  t.after(async () => {
    bus.stop()
    await rm(root, { recursive: true })
  })
  return bus
}

const device = (bus: PciBus, name: string, address = bdf) => join(bus.root, 'sys/bus/pci/devices', address, name)
const read = (path: string) => readFileSync(path, 'utf8')
const linkName = (path: string) => basename(readlinkSync(path))

/** As one writes to sysfs: open what is there, write, no truncation. */
function write(bus: PciBus, file: string, text: string): Promise<void> {
  return writeFile(join(bus.root, 'sys/bus/pci', file), text, { flag: constants.O_WRONLY })
}

/** The steps of dpdk-devbind: override, unbind, probe. */
async function moveTo(bus: PciBus, driver: string, address = bdf): Promise<void> {
  await write(bus, `devices/${address}/driver_override`, `${driver}\n`)
  const from = bus.cards().find((card) => card.bdf === address)?.driver
  if (from) {
    const unbound = once(bus.effects, 'unbound')
    await write(bus, `drivers/${from}/unbind`, address)
    await unbound
  }
  await write(bus, 'drivers_probe', address)
  await bus.effects.until(() => bus.cards().some((card) => card.bdf === address && card.driver === driver))
}

test('the primary is there from the start, at 0000:00:05.0, and has both default routes', async (t) => {
  const bus = await start(t)
  assert.deepEqual(
    bus.cards().map((card) => [card.bdf, card.mac, card.driver, card.ifname]),
    [['0000:00:05.0', primaryMac, 'ena', 'ens5']],
  )
  assert.match(read(join(bus.root, 'proc/net/route')), /^ens5\t00000000\t/m)
  assert.match(read(join(bus.root, 'proc/net/ipv6_route')), /^0{32} 00 .* ens5$/m)
})

test('a plugged card is an ENA at the next free address, with an interface that udev has named by its slot', async (t) => {
  const bus = await start(t)
  const { bdf: address } = await bus.plug(first)
  assert.equal(address, bdf)
  assert.equal(read(device(bus, 'vendor')), '0x1d0f\n')
  assert.equal(read(device(bus, 'device')), '0xec20\n')
  assert.equal(read(device(bus, 'class')), '0x020000\n')
  assert.equal(read(device(bus, 'numa_node')), '-1\n')
  assert.equal(read(device(bus, 'driver_override')), '(null)\n')
  assert.equal(linkName(device(bus, 'driver')), 'ena')
  assert.equal(read(device(bus, 'net/ens6/address')), `${first.mac}\n`)
  assert.equal(read(join(bus.root, 'sys/class/net/ens6/address')), `${first.mac}\n`)
  assert.equal(linkName(join(bus.root, 'sys/class/net/ens6/device')), bdf)
  assert.ok(existsSync(join(bus.root, 'sys/bus/pci/drivers/ena', bdf, 'vendor')))
})

test('links are relative, so that the tree may be mounted elsewhere', async (t) => {
  const bus = await start(t)
  assert.ok(!isAbsolute(readlinkSync(join(bus.root, 'sys/class/net/ens5'))))
  assert.ok(!isAbsolute(readlinkSync(join(bus.root, 'sys/bus/pci/devices/0000:00:05.0'))))
})

test('an interface has a kernel name first', async (t) => {
  const bus = await start(t)
  const renamed = once(bus.effects, 'net-renamed')
  await bus.plug(first)
  const [card, from] = await renamed
  assert.equal(from, 'eth0')
  assert.equal(card.ifname, 'ens6')
})

test('without udev an interface keeps its kernel name', async (t) => {
  const bus = await start(t, { rename: false })
  assert.equal((await bus.plug(first)).ifname, 'eth1')
})

test('an unplugged card leaves nothing, and its address goes to the next card under a new inode', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  const inode = statSync(device(bus, '')).ino
  await bus.unplug(first)
  assert.ok(!existsSync(device(bus, '')))
  assert.ok(!existsSync(join(bus.root, 'sys/class/net/ens6')))
  assert.equal(bus.cards().length, 1)

  assert.equal((await bus.plug(second)).bdf, bdf)
  assert.equal(read(device(bus, 'net/ens6/address')), `${second.mac}\n`)
  assert.notEqual(statSync(device(bus, '')).ino, inode)
})

test('unbind takes driver and interface away and leaves the card', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  const unbound = once(bus.effects, 'unbound')
  await write(bus, `devices/${bdf}/driver/unbind`, bdf)
  await unbound
  assert.ok(!existsSync(device(bus, 'driver')))
  assert.ok(!existsSync(device(bus, 'net')))
  assert.ok(!existsSync(join(bus.root, 'sys/class/net/ens6')))
  assert.ok(existsSync(device(bus, 'vendor')))
})

test('without an IOMMU a card gets a group at each bind to vfio-pci, with the lowest number that is free', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  await bus.plug(second)
  assert.ok(!existsSync(device(bus, 'iommu_group')))

  await moveTo(bus, 'vfio-pci')
  assert.equal(linkName(device(bus, 'iommu_group')), '0')
  assert.equal(read(device(bus, 'iommu_group/name')), 'vfio-noiommu\n')
  assert.ok(existsSync(join(bus.root, 'dev/vfio/noiommu-0')))

  await moveTo(bus, 'ena')
  assert.ok(!existsSync(device(bus, 'iommu_group')))
  assert.ok(!existsSync(join(bus.root, 'dev/vfio/noiommu-0')))

  await moveTo(bus, 'vfio-pci', '0000:00:07.0')
  assert.equal(linkName(device(bus, 'iommu_group', '0000:00:07.0')), '0')
  await moveTo(bus, 'vfio-pci')
  assert.equal(linkName(device(bus, 'iommu_group')), '1')
  assert.equal(bus.cards()[1]?.deviceNode, '/dev/vfio/noiommu-1')
})

test('with an IOMMU a card has its group from plug on, without a name, and its device node while vfio-pci has it', async (t) => {
  const bus = await start(t, { iommu: 'vfio' })
  await bus.plug(first)
  const group = linkName(device(bus, 'iommu_group'))
  assert.ok(!existsSync(device(bus, 'iommu_group/name')))
  assert.ok(existsSync(join(bus.root, 'sys/kernel/iommu_groups', group, 'devices', bdf, 'vendor')))
  assert.ok(!existsSync(join(bus.root, 'dev/vfio', group)))

  await moveTo(bus, 'vfio-pci')
  assert.ok(existsSync(join(bus.root, 'dev/vfio', group)))
  assert.equal(linkName(device(bus, 'iommu_group')), group)
})

test('device nodes are character devices', { skip: process.getuid?.() !== 0 && 'mknod needs root' }, async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  await moveTo(bus, 'vfio-pci')
  assert.ok(statSync(join(bus.root, 'dev/vfio/vfio')).isCharacterDevice())
  assert.ok(statSync(join(bus.root, 'dev/vfio/noiommu-0')).isCharacterDevice())
})

test('without an IOMMU and without unsafe mode a probe fails in silence and leaves the card driverless', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  await writeFile(join(bus.root, 'sys/module/vfio/parameters/enable_unsafe_noiommu_mode'), 'N\n')
  const failed = once(bus.effects, 'probe-failed')
  await write(bus, `devices/${bdf}/driver_override`, 'vfio-pci\n')
  await write(bus, 'drivers/ena/unbind', bdf)
  await write(bus, 'drivers_probe', bdf)
  await failed
  assert.ok(!existsSync(device(bus, 'driver')))

  await moveTo(bus, 'ena')
  assert.equal(linkName(device(bus, 'driver')), 'ena')
})

test('without an IOMMU and with a vfio that has no mode for that, there is no switch, and a probe leaves the card driverless', async (t) => {
  const bus = await start(t, { iommu: 'none' })
  await bus.plug(first)
  assert.ok(!existsSync(join(bus.root, 'sys/module/vfio/parameters/enable_unsafe_noiommu_mode')))
  const failed = once(bus.effects, 'probe-failed')
  await write(bus, `devices/${bdf}/driver_override`, 'vfio-pci\n')
  await write(bus, 'drivers/ena/unbind', bdf)
  await write(bus, 'drivers_probe', bdf)
  await failed
  assert.ok(!existsSync(device(bus, 'driver')))
})

test('igb_uio gives a uio device', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  await moveTo(bus, 'igb_uio')
  assert.ok(existsSync(device(bus, 'uio/uio0')))
  assert.ok(existsSync(join(bus.root, 'dev/uio0')))
  await moveTo(bus, 'ena')
  assert.ok(!existsSync(device(bus, 'uio')))
  assert.ok(!existsSync(join(bus.root, 'dev/uio0')))
})

test('a bare newline clears driver_override, and an empty write does nothing', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  await moveTo(bus, 'vfio-pci')
  await write(bus, `devices/${bdf}/driver_override`, '')
  assert.equal(read(device(bus, 'driver_override')), 'vfio-pci\n')
  await write(bus, `devices/${bdf}/driver_override`, '\n')
  await write(bus, 'drivers/vfio-pci/unbind', bdf)
  await bus.effects.until(() => bus.cards()[1]?.driver === null)
  await write(bus, 'drivers_probe', bdf)
  await bus.effects.until(() => bus.cards()[1]?.driver === 'ena')
  assert.equal(read(device(bus, 'driver_override')), '(null)\n')
})

test('every one of many writes is seen, in order, newline or not', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  const seen: string[] = []
  bus.effects.on('write-refused', (refused) => seen.push(refused.bdf))
  const addresses = Array.from({ length: 40 }, (_, index) => `0000:01:${(index % 32).toString(16).padStart(2, '0')}.0`)
  for (const [index, address] of addresses.entries()) {
    await write(bus, 'drivers_probe', index % 2 === 0 ? address : `${address}\n`)
  }
  await bus.effects.until(() => seen.length === addresses.length)
  assert.deepEqual(seen, addresses)
})

test('bind answers as the kernel: ENODEV when the driver does not match, EBUSY when it does and the card is bound', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  const errnos: string[] = []
  bus.effects.on('write-refused', (refused) => errnos.push(refused.errno))
  await write(bus, 'drivers/vfio-pci/bind', bdf)
  await bus.effects.until(() => errnos.length === 1)
  await write(bus, 'drivers/ena/bind', bdf)
  await bus.effects.until(() => errnos.length === 2)
  await write(bus, 'drivers/ena/unbind', bdf)
  await bus.effects.until(() => bus.cards()[1]?.driver === null)
  await write(bus, 'drivers/vfio-pci/bind', bdf)
  await bus.effects.until(() => errnos.length === 3)
  assert.deepEqual(errnos, ['ENODEV', 'EBUSY', 'ENODEV'])

  await write(bus, `devices/${bdf}/driver_override`, 'vfio-pci\n')
  await write(bus, 'drivers/vfio-pci/bind', bdf)
  await bus.effects.until(() => bus.cards()[1]?.driver === 'vfio-pci')
})

test('drivers_probe leaves a card that has a driver alone, and that is no error', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  const changes: string[] = []
  for (const kind of ['bound', 'unbound', 'probe-failed', 'write-refused'] as const) {
    bus.effects.on(kind, () => changes.push(kind))
  }
  await write(bus, 'drivers_probe', bdf)
  // Unlike the first this one is refused, and the pipe keeps their order.
  await write(bus, 'drivers_probe', '0000:01:00.0')
  await bus.effects.until(() => changes.length > 0)
  assert.deepEqual(changes, ['write-refused'])
})

test("a driver's link comes before what the driver's probe makes, and goes before it", async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  const names: string[] = []
  // inotify tells the changes of one directory in their order.
  const watcher = watch(device(bus, ''), (_event, name) => {
    if (['driver', 'net', 'iommu_group'].includes(name ?? '')) names.push(name ?? '')
  })
  t.after(() => watcher.close())
  const told = async (...expected: string[]) => {
    while (names.length < expected.length) await once(watcher, 'change')
    assert.deepEqual(names.splice(0), expected)
  }
  await write(bus, 'drivers/ena/unbind', bdf)
  await told('driver', 'net')
  await write(bus, `devices/${bdf}/driver_override`, 'vfio-pci\n')
  await write(bus, 'drivers/vfio-pci/bind', bdf)
  await told('driver', 'iommu_group')
})

test('an unbind of a card in use takes its link and then waits for its release', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  await moveTo(bus, 'vfio-pci')
  bus.hold(bdf)
  const waiting = once(bus.effects, 'waiting')
  await write(bus, 'drivers/vfio-pci/unbind', bdf)
  await waiting
  assert.ok(!existsSync(device(bus, 'driver')))
  assert.ok(existsSync(join(bus.root, 'dev/vfio/noiommu-0')))
  const unbound = once(bus.effects, 'unbound')
  bus.release(bdf)
  await unbound
  assert.ok(!existsSync(join(bus.root, 'dev/vfio/noiommu-0')))
})

test('an unbind of a card whose interface somebody has takes that from sight and then waits, and the card stays enabled', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  bus.hold(bdf)
  const waiting = once(bus.effects, 'waiting')
  await write(bus, 'drivers/ena/unbind', bdf)
  await waiting
  assert.ok(!existsSync(device(bus, 'driver')))
  assert.ok(!existsSync(device(bus, 'net')))
  assert.equal(read(device(bus, 'enable')), '1\n')
  const unbound = once(bus.effects, 'unbound')
  bus.release(bdf)
  await unbound
  assert.equal(read(device(bus, 'enable')), '0\n')
})

test('enable is 1 under a network driver, and under vfio-pci only while a process has the card open', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  assert.equal(read(device(bus, 'enable')), '1\n')
  await moveTo(bus, 'vfio-pci')
  assert.equal(read(device(bus, 'enable')), '0\n')
  bus.hold(bdf)
  assert.equal(read(device(bus, 'enable')), '1\n')
  bus.release(bdf)
  assert.equal(read(device(bus, 'enable')), '0\n')
  await moveTo(bus, 'igb_uio')
  assert.equal(read(device(bus, 'enable')), '1\n')
})

test('an IOMMU group can have several cards, one device node, and functions of somebody else', async (t) => {
  const bus = await start(t, { iommu: 'vfio' })
  await bus.plug(first)
  await bus.plug({ ...second, inGroupOf: bdf })
  const disk = bus.addFunction(bdf, { pciClass: '0x010802', deviceID: '1d0f:8061', driver: 'nvme' })
  assert.equal(disk, '0000:00:06.1')
  const group = linkName(device(bus, 'iommu_group'))
  const members = readdirSync(join(bus.root, 'sys/kernel/iommu_groups', group, 'devices'))
  assert.deepEqual(members.toSorted(), [bdf, disk, '0000:00:07.0'])
  assert.equal(linkName(device(bus, 'driver', disk)), 'nvme')
  assert.equal(read(device(bus, 'modalias', disk)), 'pci:v00001D0Fd00008061sv00001D0Fsd00008061bc01sc08i02\n')

  const node = join(bus.root, 'dev/vfio', group)
  await moveTo(bus, 'vfio-pci')
  await moveTo(bus, 'vfio-pci', '0000:00:07.0')
  await moveTo(bus, 'ena')
  assert.ok(existsSync(node))
  await bus.unplug(second)
  assert.ok(!existsSync(node))
  assert.equal(linkName(device(bus, 'iommu_group', disk)), group)
})

test('an unplug of a card in use stalls all hot-plug of the machine until the release', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  await moveTo(bus, 'vfio-pci')
  bus.hold(bdf)
  const waiting = once(bus.effects, 'waiting')
  const unplugged = bus.unplug(first)
  await waiting
  const plugged = bus.plug(second)

  // Everything else still works meanwhile: a write to a control file is answered.
  const answered = once(bus.effects, 'write-refused')
  await write(bus, 'drivers_probe', '0000:01:00.0')
  await answered
  assert.equal(bus.cards().length, 2)

  bus.release(bdf)
  await unplugged
  assert.equal((await plugged).bdf, bdf)
})

test('the primary cannot be unplugged', async (t) => {
  const bus = await start(t)
  await assert.rejects(bus.unplug({ mac: primaryMac }), /no card with MAC/)
})

test('a card that the node itself uses is in the route table', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  assert.doesNotMatch(read(join(bus.root, 'proc/net/route')), /ens6/)
  bus.useByHost(bdf)
  assert.match(read(join(bus.root, 'proc/net/route')), /^ens6\t/m)
})

test('an address that the node itself has on a card is in if_inet6 or fib_trie, and goes with the interface', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  bus.addressByHost(bdf, '10.0.1.7')
  bus.addressByHost(bdf, 'fd00:0:0:0:0:0:0:7')
  const trie = join(bus.root, 'proc/net/fib_trie')
  const inet6 = join(bus.root, 'proc/net/if_inet6')
  assert.match(read(trie), /^ +\|-- 10\.0\.1\.7\n +\/32 host LOCAL$/m)
  assert.match(read(inet6), /^fd0{29}7 02 40 00 80 +ens6$/m)
  assert.doesNotMatch(read(join(bus.root, 'proc/net/route')), /ens6/)
  await moveTo(bus, 'vfio-pci')
  assert.doesNotMatch(read(trie) + read(inet6), /10\.0\.1\.7|ens6/)
})

test('after a reboot every card has the kernel driver again, under a new boot id and inode', async (t) => {
  const bus = await start(t)
  await bus.plug(first)
  await moveTo(bus, 'vfio-pci')
  bus.hold(bdf)
  const bootId = read(join(bus.root, 'proc/sys/kernel/random/boot_id'))
  const inode = statSync(device(bus, '')).ino
  await bus.reboot()
  assert.deepEqual(
    bus.cards().map((card) => [card.bdf, card.mac, card.driver, card.ifname]),
    [
      ['0000:00:05.0', primaryMac, 'ena', 'ens5'],
      [bdf, first.mac, 'ena', 'ens6'],
    ],
  )
  assert.equal(read(device(bus, 'driver_override')), '(null)\n')
  assert.ok(!existsSync(join(bus.root, 'dev/vfio/noiommu-0')))
  assert.notEqual(read(join(bus.root, 'proc/sys/kernel/random/boot_id')), bootId)
  assert.notEqual(statSync(device(bus, '')).ino, inode)
})

test('a boot numbers the groups by the addresses of the cards, whenever they were plugged', async (t) => {
  const bus = await start(t, { iommu: 'vfio' })
  await bus.plug(first)
  await bus.plug(second)
  await bus.unplug(first)
  const third = { mac: '02:00:00:00:00:08', eniId: 'eni-8', deviceIndex: 3 }
  const fourth = { mac: '02:00:00:00:00:09', eniId: 'eni-9', deviceIndex: 4 }
  await bus.plug(third)
  await bus.plug({ ...fourth, inGroupOf: '0000:00:07.0' })
  const groups = () => Object.fromEntries(bus.cards().map(({ mac, iommuGroup }) => [mac, iommuGroup]))
  assert.deepEqual(groups(), { [primaryMac]: 0, [second.mac]: 2, [third.mac]: 1, [fourth.mac]: 2 })
  // That in front of them is gone at the boot.
  await bus.unplug(third)
  await bus.reboot()
  assert.deepEqual(groups(), { [primaryMac]: 0, [second.mac]: 1, [fourth.mac]: 1 })
  // It comes again, behind them in time and before them in address.
  await bus.plug(third)
  assert.deepEqual(groups(), { [primaryMac]: 0, [second.mac]: 1, [fourth.mac]: 1, [third.mac]: 2 })
  await bus.reboot()
  assert.deepEqual(groups(), { [primaryMac]: 0, [second.mac]: 2, [fourth.mac]: 2, [third.mac]: 1 })
})
