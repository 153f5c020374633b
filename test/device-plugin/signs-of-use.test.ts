// Who has a card open, as far as /proc shows it.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { SignsOfUse } from '../../src/device-plugin/signs-of-use.ts'
import { cardAt } from './cards.ts'

const bound = cardAt('0000:00:06.0', { driver: 'vfio-pci', iommuGroup: { number: '3', noIommu: false } })

/** A /proc in which process 4711 has these files open. */
function procWith(t: TestContext, ...targets: readonly string[]): string {
  const proc = mkdtempSync(join(tmpdir(), 'proc-'))
  t.after(() => rmSync(proc, { recursive: true }))
  mkdirSync(join(proc, 'sys/kernel'), { recursive: true })
  mkdirSync(join(proc, '4711/fd'), { recursive: true })
  for (const [fd, target] of targets.entries()) symlinkSync(target, join(proc, '4711/fd', String(fd)))
  // A process that has ended since the list, or whose files may not be seen.
  mkdirSync(join(proc, '4712'))
  return proc
}

test('a process that has the group of the card open is named, under either name of a no-IOMMU group', async (t) => {
  const signs = new SignsOfUse(procWith(t, '/dev/null', '/dev/vfio/3'))
  assert.equal(await signs.of(bound), 'process 4711 has /dev/vfio/3')
  const unsafe = new SignsOfUse(procWith(t, '/dev/vfio/noiommu-3'))
  assert.equal(await unsafe.of(bound), 'process 4711 has /dev/vfio/noiommu-3')
})

test('so is one that has the uio device of the card open', async (t) => {
  const signs = new SignsOfUse(procWith(t, '/dev/uio0'))
  assert.equal(await signs.of(cardAt('0000:00:06.0', { driver: 'igb_uio', uio: 'uio0' })), 'process 4711 has /dev/uio0')
})

test("another group, the container of all groups, and a card of the kernel's driver are no sign", async (t) => {
  const signs = new SignsOfUse(procWith(t, '/dev/vfio/vfio', '/dev/vfio/30', '/dev/vfio/3'))
  assert.equal(await signs.of({ ...bound, iommuGroup: { number: '4', noIommu: false } }), undefined)
  assert.equal(await signs.of({ ...bound, driver: 'ena' }), undefined)
})

test('where no process can be seen there is no sign', async () => {
  assert.equal(await new SignsOfUse('/nonexistent').of(bound), undefined)
})
