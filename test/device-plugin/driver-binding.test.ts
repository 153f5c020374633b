// A card changes its driver and gets it back, on a bus that reacts as the kernel does.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { pino } from 'pino'

import { type PciBus, type PciBusOptions, startPciBus } from '../../sim/pci/bus.ts'
import { systemClock } from '../../src/device-plugin/monotonic-clock.ts'
import { type ControlWrites, type WriteOutcome, WriterProcess } from '../../src/device-plugin/control-writes.ts'
import { DriverBinding } from '../../src/device-plugin/driver-binding.ts'
import { type PciCard, PciScanner } from '../../src/device-plugin/pci-scan.ts'
import type { ControlWrite } from '../../src/device-plugin/sysfs-writer.ts'

const mac = '02:00:00:00:00:66'

interface Rig {
  readonly bus: PciBus
  readonly sys: string
  readonly writes: Pick<ControlWrites, 'write'>
  readonly binding: DriverBinding
  readonly card: () => PciCard
  /** The writer with the card's present appearance. */
  readonly write: (writes: readonly ControlWrite[]) => Promise<WriteOutcome>
}

async function rigWith(t: TestContext, options: Partial<PciBusOptions> = {}): Promise<Rig> {
  const root = mkdtempSync('/tmp/bind-')
  const bus = await startPciBus({ root, iommu: 'vfio', primaryMac: '02:00:00:00:00:01', ...options })
  const writes = new WriterProcess()
  t.after(() => {
    writes.stop()
    bus.stop()
    rmSync(root, { recursive: true })
  })
  const { bdf } = await bus.plug({ mac, eniId: 'eni-1', deviceIndex: 1 })
  const sys = join(root, 'sys')
  const scanner = new PciScanner(sys, join(root, 'dev'))
  const card = () => {
    const found = scanner.scan().find(({ pciAddress }) => pciAddress === bdf)
    assert.ok(found)
    return found
  }
  const write = (all: readonly ControlWrite[]) => {
    const { pciAddress, inode } = card()
    return writes.write({ directory: join(sys, 'bus/pci/devices', pciAddress), inode }, all)
  }
  return { bus, sys, writes, write, card, binding: bindingOf(sys, writes) }
}

function bindingOf(
  sys: string,
  writes: Pick<ControlWrites, 'write'>,
  settleDeadlineMs = 2_000,
  hasDeviceNode = () => true,
): DriverBinding {
  const log = pino({ level: 'silent' })
  return new DriverBinding({ sys, writes, hasDeviceNode, clock: systemClock, log, settleDeadlineMs })
}

for (const driver of ['vfio-pci', 'igb_uio']) {
  test(`a card goes to ${driver} and back, and keeps no override`, async (t) => {
    const { binding, card } = await rigWith(t)
    assert.deepEqual(await binding.bind(card(), driver), { kind: 'done' })
    assert.equal(card().driver, driver)
    assert.deepEqual(await binding.restore(card()), { kind: 'done' })
    assert.equal(card().driver, 'ena')
    // A second restore finds the override empty: the kernel's own driver takes the card again.
    assert.deepEqual(await binding.restore(card()), { kind: 'done' })
    assert.equal(card().driver, 'ena')
  })
}

const withoutIommu = [
  { mode: 'off', iommu: 'noiommu', says: /no IOMMU.*is off \(enable_unsafe_noiommu_mode\)/ },
  { mode: 'absent', iommu: 'none', says: /no IOMMU.*is built without.*\(CONFIG_VFIO_NOIOMMU\)/ },
] as const
for (const { mode, iommu, says } of withoutIommu) {
  test(`without an IOMMU, the mode for that ${mode}: the kernel gets the card back, and it is said why`, async (t) => {
    const { binding, card, sys, writes } = await rigWith(t, { iommu })
    if (mode === 'off') writeFileSync(join(sys, 'module/vfio/parameters/enable_unsafe_noiommu_mode'), 'N\n')
    const impatient = bindingOf(sys, writes, 300)
    const change = await impatient.bind(card(), 'vfio-pci')
    assert.equal(change.kind, 'failed')
    assert.ok(change.kind === 'failed')
    assert.match(change.message, /^vfio-pci did not take 0000:00:06\.0.*the kernel has the card again$/)
    assert.match(change.message, says)
    assert.equal(change.noIommuMode, mode)
    assert.equal(change.driver, 'ena')
    assert.equal(card().driver, 'ena')
    assert.equal(binding.driverOf(card()), 'ena')
    const override = join(sys, 'bus/pci/devices', card().pciAddress, 'driver_override')
    assert.equal(readFileSync(override, 'utf8').trim(), '(null)')
  })
}

test('a driver that refuses a card for another reason is not said to lack an IOMMU', async (t) => {
  const { binding, card, sys } = await rigWith(t)
  // Nothing probes: as a driver that fails in its probe for a reason of its own.
  const silent: Pick<ControlWrites, 'write'> = { write: () => Promise.resolve({ kind: 'written' }) }
  const driverless = { ...card(), driver: undefined }
  await binding.bind(card(), 'igb_uio')
  const change = await bindingOf(sys, silent, 50).bind(driverless, 'vfio-pci')
  assert.ok(change.kind === 'failed')
  assert.equal(change.noIommuMode, undefined)
})

test('a bind that was cut off after unbind is taken up where it stands', async (t) => {
  const { binding, card, sys, write, bus } = await rigWith(t)
  const { pciAddress } = card()
  await write([
    { path: join(sys, `bus/pci/devices/${pciAddress}/driver_override`), value: 'vfio-pci\n' },
    { path: join(sys, 'bus/pci/drivers/ena/unbind'), value: pciAddress },
  ])
  await bus.effects.until(() => bus.cards().some(({ bdf, driver }) => bdf === pciAddress && driver === null))
  assert.deepEqual(await binding.bind(card(), 'vfio-pci'), { kind: 'done' })
  assert.equal(card().driver, 'vfio-pci')
})

test('a write that the kernel refuses says which, and leaves the card where it is', async (t) => {
  const { sys, writes, card } = await rigWith(t)
  const refusing: Pick<ControlWrites, 'write'> = {
    write: (appearance, all) =>
      all.some(({ path }) => path.endsWith('/unbind'))
        ? Promise.resolve({ kind: 'refused', path: 'unbind', code: 'ENODEV' })
        : writes.write(appearance, all),
  }
  const change = await bindingOf(sys, refusing).bind(card(), 'vfio-pci')
  assert.deepEqual(change, {
    kind: 'failed',
    message: 'write to unbind: ENODEV; the kernel has the card again',
    driver: 'ena',
  })
})

test('a write that does not return is told as such, and nothing more is written', async (t) => {
  const { sys, card } = await rigWith(t)
  let asked = 0
  const ended = Promise.resolve()
  const change = await bindingOf(sys, {
    write: () => {
      asked++
      return Promise.resolve({ kind: 'stuck', ended })
    },
  }).bind(card(), 'vfio-pci')
  assert.equal(change.kind, 'stuck')
  assert.equal(asked, 1)
})

test('whether the kernel has a driver is seen in sysfs', async (t) => {
  const { binding } = await rigWith(t)
  assert.equal(binding.hasDriver('vfio-pci'), true)
  assert.equal(binding.hasDriver('uio_hv_generic'), false)
})

test('a card that was replaced since the scan is not touched, and neither is the one in its place', async (t) => {
  const { binding, bus, card } = await rigWith(t)
  const scanned = card()
  await bus.unplug({ mac })
  await bus.plug({ mac: '02:00:00:00:00:67', eniId: 'eni-other', deviceIndex: 1 })
  const changes: string[] = []
  for (const kind of ['unbound', 'bound'] as const) bus.effects.on(kind, () => changes.push(kind))
  const change = await binding.bind(scanned, 'vfio-pci')
  assert.ok(change.kind === 'failed')
  assert.match(change.message, /another card is there now/)
  assert.equal(card().driver, 'ena')
  assert.deepEqual(changes, [])
})

test('an override that an earlier life left is gone after whatever is done next', async (t) => {
  const { binding, card, sys, write, writes } = await rigWith(t)
  const path = join(sys, `bus/pci/devices/${card().pciAddress}/driver_override`)
  /** The simulator shows an override as the kernel would once a probe has read it. */
  const override = () => readFileSync(path, 'utf8').split('\n', 1)[0]
  const leave = () => write([{ path, value: 'igb_uio\n' }])
  const ways: Readonly<Record<string, () => Promise<unknown>>> = {
    'a bind': () => binding.bind(card(), 'vfio-pci'),
    'a restore': () => binding.restore(card()),
    'the end': () => binding.clearOverride(card()),
    'a bind that no driver takes': () => bindingOf(sys, writes, 100).bind(card(), 'none'),
  }
  for (const [way, act] of Object.entries(ways)) {
    await leave()
    await act()
    assert.ok(['', '(null)'].includes(override() ?? ''), `${override()} after ${way}`)
  }
})

test('an override that cannot be cleared is named in the log: the card is bound all the same', async (t) => {
  const { sys, writes, card } = await rigWith(t)
  const lines: string[] = []
  const binding = new DriverBinding({
    sys,
    writes: {
      write: (appearance, all) =>
        all.some(({ value }) => value === '\n')
          ? Promise.resolve({ kind: 'refused', path: 'driver_override', code: 'EIO' })
          : writes.write(appearance, all),
    },
    hasDeviceNode: () => true,
    clock: systemClock,
    log: pino({}, { write: (line: string) => lines.push(line) }),
  })
  assert.deepEqual(await binding.bind(card(), 'vfio-pci'), { kind: 'done' })
  assert.match(lines.join(''), /EIO.*driver_override not cleared/)
})

test('a card is bound only when its device node is there, which comes after the link of its driver', async (t) => {
  const { sys, writes, card } = await rigWith(t)
  let looks = 0
  const binding = bindingOf(sys, writes, 2_000, () => ++looks === 3)
  assert.deepEqual(await binding.bind(card(), 'vfio-pci'), { kind: 'done' })
  assert.equal(looks, 3)
})

test('a card whose device node does not come is bound all the same, and the plan tells what is missing', async (t) => {
  const { sys, writes, card } = await rigWith(t)
  assert.deepEqual(await bindingOf(sys, writes, 50, () => false).bind(card(), 'vfio-pci'), { kind: 'done' })
})
