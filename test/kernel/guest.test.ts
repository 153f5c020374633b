// A virtual machine by itself: its boot, its disk, its orderly end and its power cut, and what it says when it does not boot.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { runCommand } from '../../sim/cluster/run-command.ts'
import type { Guest } from '../../sim/guest/guest.ts'
import { obtainGuestKernel } from '../../sim/guest/kernel/obtain.ts'
import { processesOf, tracesOf } from '../cluster/machine-traces.ts'
import { noGuests } from './guests.ts'
import { lonelyGuest } from './lonely-guest.ts'

describe('a virtual machine', { skip: noGuests }, () => {
  // Not the temporary directory of the environment: a path of a unix socket may have 107 bytes at most.
  const directory = mkdtempSync('/tmp/jit-eni-guest-')
  let guest: Guest
  before(async () => {
    guest = await lonelyGuest(directory)
    await guest.start()
  })
  after(async () => {
    await guest.kill()
    assert.deepEqual(processesOf(directory), [])
    rmSync(directory, { recursive: true })
    assert.deepEqual(tracesOf(directory), [])
  })

  it('has a kernel of its own, an IOMMU, a driver for its primary card, and the files of this machine', async () => {
    const { version } = await obtainGuestKernel(() => undefined)
    assert.equal((await guest.run('uname', ['-r'])).trim(), version)
    assert.match(await guest.script('ls /sys/class/iommu; ls /sys/kernel/iommu_groups | wc -l'), /dmar0\n\d\d/)
    assert.match(await guest.run('ip', ['-o', 'address']), / 10\.0\.2\.15\/24 .*\n.* 198\.51\.100\.1\/32 /)
    assert.match(await guest.run('hostname'), /^lonely\n$/)
    await guest.run('cat', [import.meta.filename])
  })

  it('has the time of this machine', async () => {
    const asked = Date.now()
    const there = Number(await guest.run('date', ['+%s%3N']))
    assert.ok(there > asked - 1_000 && there < Date.now() + 1_000, `${there - asked} ms apart`)
  })

  it('keeps what is on its disk, and nothing else, over a reset, an orderly end and a power cut', async () => {
    const restarts = [
      () => guest.reset(),
      async () => {
        await guest.shutDown()
        await guest.start()
      },
      async () => {
        await guest.kill()
        await guest.start()
      },
    ]
    for (const restart of restarts) {
      await guest.script('date > /var/lib/kept; date > /etc/forgotten; sync')
      await restart()
      await guest.script('test -s /var/lib/kept; ! test -e /etc/forgotten; rm /var/lib/kept')
    }
  })

  it('leaves a clean disk when it is shut down', async () => {
    await guest.shutDown()
    assert.match(await runCommand('e2fsck', ['-n', path.join(directory, 'disk.ext4')]), /clean/)
    await guest.start()
  })

  it('gives a command up that is told to end, and takes the next', async () => {
    await assert.rejects(guest.run('sleep', ['600'], { signal: AbortSignal.timeout(500) }), { name: 'TimeoutError' })
    assert.equal(await guest.run('echo', ['next']), 'next\n')
  })
})

describe('a virtual machine that cannot boot', { skip: noGuests }, () => {
  it('says why, at once', async (t) => {
    const directory = mkdtempSync('/tmp/jit-eni-guest-')
    t.after(() => rmSync(directory, { recursive: true }))
    const guest = await lonelyGuest(directory)
    writeFileSync(path.join(directory, 'disk.ext4'), Buffer.alloc(1 << 20))
    await assert.rejects(guest.start(), /guest lonely: the disk cannot be mounted/)
    await guest.kill()
    assert.match(readFileSync(guest.serialLog, 'utf8'), /^guest: the disk cannot be mounted/m)
  })
})
