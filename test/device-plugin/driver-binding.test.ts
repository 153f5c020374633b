// A card changes its driver and gets it back, on a bus that reacts as the kernel does.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { type PciBus, type PciBusOptions, startPciBus } from '../../sim/pci/bus.ts'
import { systemClock } from '../../src/device-plugin/clock.ts'
import { type ControlWrites, WriterProcess } from '../../src/device-plugin/control-writes.ts'
import { DriverBinding } from '../../src/device-plugin/driver-binding.ts'
import { PciScanner } from '../../src/device-plugin/pci-scan.ts'

const mac = '02:00:00:00:00:66'

interface Rig {
  readonly bus: PciBus
  readonly sys: string
  readonly writes: ControlWrites
  readonly binding: DriverBinding
  readonly card: () => { readonly pciAddress: string; readonly driver: string | undefined }
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
  const scanner = new PciScanner(sys)
  const card = () => {
    const found = scanner.scan().find(({ pciAddress }) => pciAddress === bdf)
    assert.ok(found)
    return found
  }
  return { bus, sys, writes, card, binding: bindingOf(sys, writes) }
}

function bindingOf(sys: string, writes: ControlWrites, settleDeadlineMs = 2_000): DriverBinding {
  return new DriverBinding({ sys, writes, clock: systemClock, settleDeadlineMs })
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

test('when the driver refuses the card, the kernel gets it back', async (t) => {
  const { binding, card, sys, writes } = await rigWith(t, { iommu: 'noiommu' })
  writeFileSync(join(sys, 'module/vfio/parameters/enable_unsafe_noiommu_mode'), 'N\n')
  const impatient = bindingOf(sys, writes, 300)
  const change = await impatient.bind(card(), 'vfio-pci')
  assert.equal(change.kind, 'failed')
  assert.ok(change.kind === 'failed')
  assert.match(change.message, /^vfio-pci did not take 0000:00:06\.0.*the kernel has the card again$/)
  assert.equal(change.driver, 'ena')
  assert.equal(card().driver, 'ena')
  assert.equal(binding.driverOf(card()), 'ena')
})

test('a bind that was cut off after unbind is taken up where it stands', async (t) => {
  const { binding, card, sys, writes, bus } = await rigWith(t)
  const { pciAddress } = card()
  await writes.write([
    { path: join(sys, `bus/pci/devices/${pciAddress}/driver_override`), value: 'vfio-pci\n' },
    { path: join(sys, 'bus/pci/drivers/ena/unbind'), value: pciAddress },
  ])
  await bus.effects.until(() => bus.cards().some(({ bdf, driver }) => bdf === pciAddress && driver === null))
  assert.deepEqual(await binding.bind(card(), 'vfio-pci'), { kind: 'done' })
  assert.equal(card().driver, 'vfio-pci')
})

test('a write that the kernel refuses says which, and leaves the card where it is', async (t) => {
  const { sys, writes, card } = await rigWith(t)
  const refusing: ControlWrites = {
    write: (all) =>
      all.some(({ path }) => path.endsWith('/unbind'))
        ? Promise.resolve({ kind: 'refused', path: 'unbind', code: 'ENODEV' })
        : writes.write(all),
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
