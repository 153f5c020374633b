// The scan: what vanishes while it is read is left out; what cannot be read for another reason ends the scan.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { PciScanner } from '../../src/device-plugin/pci-scan.ts'

function sysWithCard(t: TestContext): { readonly sys: string; readonly card: string } {
  const sys = mkdtempSync('/tmp/scan-')
  t.after(() => rmSync(sys, { recursive: true }))
  const card = join(sys, 'bus/pci/devices/0000:00:06.0')
  mkdirSync(join(card, 'net/ens6'), { recursive: true })
  writeFileSync(join(card, 'class'), '0x020000\n')
  writeFileSync(join(card, 'numa_node'), '-1\n')
  writeFileSync(join(card, 'net/ens6/address'), '02:00:00:00:00:66\n')
  return { sys, card }
}

test('a card is found with its interface, also without driver, group and NUMA node', (t) => {
  const { sys } = sysWithCard(t)
  const [card] = new PciScanner(sys).scan()
  assert.deepEqual(card?.interfaces, [{ name: 'ens6', mac: '02:00:00:00:00:66' }])
  assert.deepEqual([card.driver, card.iommuGroup, card.numaNode], [undefined, undefined, undefined])
})

test('a card of which nothing is left but its name is left out', (t) => {
  const { sys } = sysWithCard(t)
  symlinkSync('/nonexistent', join(sys, 'bus/pci/devices/0000:00:07.0'))
  assert.deepEqual(
    new PciScanner(sys).scan().map(({ pciAddress }) => pciAddress),
    ['0000:00:06.0'],
  )
})

test('a card that is there and cannot be read is not taken for one that has gone', (t) => {
  const { sys, card } = sysWithCard(t)
  rmSync(join(card, 'net/ens6/address'))
  // Reading a directory is EISDIR; on a real node it would be EACCES or EIO.
  mkdirSync(join(card, 'net/ens6/address'))
  assert.throws(() => new PciScanner(sys).scan(), /EISDIR/)
})
