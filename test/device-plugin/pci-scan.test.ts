// The scan: what vanishes while it is read is left out; what cannot be read for another reason ends the scan.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import * as fc from 'fast-check'

import { PciScanner } from '../../src/device-plugin/pci-scan.ts'

const scannerOf = (sys: string) => new PciScanner(sys, join(sys, 'dev'))

function sysWithCard(t: TestContext): { readonly sys: string; readonly card: string } {
  const sys = mkdtempSync('/tmp/scan-')
  t.after(() => rmSync(sys, { recursive: true }))
  const card = join(sys, 'bus/pci/devices/0000:00:06.0')
  mkdirSync(join(card, 'net/ens6'), { recursive: true })
  writeFileSync(join(card, 'class'), '0x020000\n')
  writeFileSync(join(card, 'vendor'), '0x1d0f\n')
  writeFileSync(join(card, 'device'), '0xec20\n')
  writeFileSync(join(card, 'numa_node'), '-1\n')
  writeFileSync(join(card, 'net/ens6/address'), '02:00:00:00:00:66\n')
  return { sys, card }
}

test('a card is found with its interface, also without driver, group and NUMA node', (t) => {
  const { sys } = sysWithCard(t)
  const [card] = scannerOf(sys).scan()
  assert.deepEqual(card?.interfaces, [{ name: 'ens6', mac: '02:00:00:00:00:66' }])
  assert.deepEqual([card.driver, card.iommuGroup, card.numaNode], [undefined, undefined, undefined])
})

test('an interface is told with the bond or bridge that it belongs to', (t) => {
  const { sys, card } = sysWithCard(t)
  symlinkSync('../../../../../../class/net/bond0', join(card, 'net/ens6/master'))
  assert.equal(scannerOf(sys).scan()[0]?.interfaces[0]?.master, 'bond0')
})

test('an interface is told to have the name that the kernel has counted, also where Linux before 5.19 does not say so', (t) => {
  const { sys, card } = sysWithCard(t)
  const isCounted = (name: string, type: string | undefined) => {
    rmSync(join(card, 'net'), { recursive: true })
    mkdirSync(join(card, 'net', name), { recursive: true })
    writeFileSync(join(card, 'net', name, 'address'), '02:00:00:00:00:66\n')
    if (type !== undefined) writeFileSync(join(card, 'net', name, 'name_assign_type'), `${type}\n`)
    return scannerOf(sys).scan()[0]?.interfaces[0]?.hasKernelName
  }
  assert.equal(isCounted('eth1', '1'), true)
  assert.equal(isCounted('eth1', '4'), undefined, 'somebody has called it so')
  // A file that cannot be read there (EINVAL) is as good as none.
  assert.equal(isCounted('eth1', undefined), true)
  assert.equal(isCounted('ens6', undefined), undefined)
})

test('whatever is missing of a card, the scan goes on, and tells it only with what it is', (t) => {
  const gone = fc.subarray([
    'class',
    'vendor',
    'device',
    'numa_node',
    'enable',
    'driver',
    'iommu_group',
    'net',
    'net/ens6',
  ])
  fc.assert(
    fc.property(gone, (names) => {
      const { sys, card } = sysWithBoundCard(t)
      mkdirSync(join(card, 'net/ens6'), { recursive: true })
      writeFileSync(join(card, 'net/ens6/address'), '02:00:00:00:00:66\n')
      for (const name of names) rmSync(join(card, name), { recursive: true, force: true })
      const [seen] = scannerOf(sys).scan()
      const isKnown = !['class', 'vendor', 'device'].some((name) => names.includes(name))
      assert.equal(seen !== undefined, isKnown)
      if (seen === undefined) return
      assert.equal(seen.driver, names.includes('driver') ? undefined : 'vfio-pci')
      assert.equal(seen.iommuGroup === undefined, names.includes('iommu_group'))
      assert.equal(seen.interfaces.length, names.some((name) => name.startsWith('net')) ? 0 : 1)
    }),
    { numRuns: 50 },
  )
})

test('a card of which nothing is left but its name is left out', (t) => {
  const { sys } = sysWithCard(t)
  symlinkSync('/nonexistent', join(sys, 'bus/pci/devices/0000:00:07.0'))
  assert.deepEqual(
    scannerOf(sys)
      .scan()
      .map(({ pciAddress }) => pciAddress),
    ['0000:00:06.0'],
  )
})

test('a card that is there and cannot be read is not taken for one that has gone', (t) => {
  const { sys, card } = sysWithCard(t)
  rmSync(join(card, 'net/ens6/address'))
  // Reading a directory is EISDIR; on a real node it would be EACCES or EIO.
  mkdirSync(join(card, 'net/ens6/address'))
  assert.throws(() => scannerOf(sys).scan(), /EISDIR/)
})

/** The card with vfio-pci, alone in a group of a real IOMMU. */
function sysWithBoundCard(t: TestContext): { readonly sys: string; readonly card: string } {
  const { sys, card } = sysWithCard(t)
  rmSync(join(card, 'net'), { recursive: true })
  mkdirSync(join(sys, 'bus/pci/drivers/vfio-pci'), { recursive: true })
  symlinkSync('../../drivers/vfio-pci', join(card, 'driver'))
  const group = join(sys, 'kernel/iommu_groups/3/devices')
  mkdirSync(group, { recursive: true })
  symlinkSync('../../../../kernel/iommu_groups/3', join(card, 'iommu_group'))
  symlinkSync('../../../../bus/pci/devices/0000:00:06.0', join(group, '0000:00:06.0'))
  writeFileSync(join(card, 'enable'), '0\n')
  return { sys, card }
}

function addFunction(sys: string, pciAddress: string, pciClass: string): void {
  const directory = join(sys, 'bus/pci/devices', pciAddress)
  mkdirSync(directory)
  writeFileSync(join(directory, 'class'), `${pciClass}\n`)
  symlinkSync(directory, join(sys, 'kernel/iommu_groups/3/devices', pciAddress))
}

test('a card is open while vfio-pci has it enabled; what another driver enables tells nothing', (t) => {
  const { sys, card } = sysWithBoundCard(t)
  assert.equal(scannerOf(sys).scan()[0]?.isOpen, false)
  writeFileSync(join(card, 'enable'), '1\n')
  assert.equal(scannerOf(sys).scan()[0]?.isOpen, true)
  rmSync(join(card, 'driver'))
  assert.equal(scannerOf(sys).scan()[0]?.isOpen, true, 'while its unbind waits for the process')
  symlinkSync('../../drivers/ena', join(card, 'driver'))
  assert.equal(scannerOf(sys).scan()[0]?.isOpen, false)
})

test('a card is told with its group mates, of which bridges are none', (t) => {
  const { sys } = sysWithBoundCard(t)
  addFunction(sys, '0000:00:06.1', '0x010802')
  addFunction(sys, '0000:00:01.0', '0x060400')
  const [card] = scannerOf(sys).scan()
  assert.deepEqual(
    [card?.deviceID, card?.groupMates],
    ['1d0f:ec20', [{ pciAddress: '0000:00:06.1', driver: undefined }]],
  )
})

test("the device node of a group is missing when sysfs or the host's /dev, where it is mounted, shows others and not this one", (t) => {
  const { sys } = sysWithBoundCard(t)
  const missing = () => scannerOf(sys).scan()[0]?.isNodeMissing
  assert.equal(missing(), false)
  mkdirSync(join(sys, 'class/vfio/3'), { recursive: true })
  assert.equal(missing(), false)
  mkdirSync(join(sys, 'dev/vfio/4'), { recursive: true })
  assert.equal(missing(), true)
  mkdirSync(join(sys, 'dev/vfio/3'))
  assert.equal(missing(), false)
  rmSync(join(sys, 'class/vfio/3'), { recursive: true })
  assert.equal(missing(), true)
})
