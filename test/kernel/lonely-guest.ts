// A virtual machine that belongs to no cluster.
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { Guest } from '../../sim/guest/guest.ts'
import { obtainGuestKernel } from '../../sim/guest/kernel/obtain.ts'
import { metal } from './guests.ts'

/** Not started; its disk is empty. Everything of it is in the directory. */
export async function lonelyGuest(directory: string): Promise<Guest> {
  const tree = path.join(directory, 'tree')
  mkdirSync(tree)
  const machine = { ...metal, hugepages: 0, memoryMiB: 512 }
  const guest = new Guest('lonely', machine, await obtainGuestKernel(() => undefined), {
    directory,
    address: '198.51.100.1',
    ports: [],
    // Not that of another run of these tests, nor one on which a program of the machine listens.
    loopback: `127.19.${(process.pid >> 8) & 255}.${process.pid & 255}`,
    primaryMac: '02:00:00:00:00:01',
    env: { PATH: process.env['PATH'] },
  })
  await guest.makeDisk(tree)
  return guest
}
