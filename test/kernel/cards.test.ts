// The cards of a virtual machine, without a cluster: one with a second function, and such as a process does not let go of. These are the
// facts of the kernel by which the device plugin knows what it may do.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { GuestCards } from '../../sim/guest/cards.ts'
import { DriverWrites } from '../../sim/guest/driver-writes.ts'
import type { Guest } from '../../sim/guest/guest.ts'
import { CardHolder } from './card-holder.ts'
import { interfaceOf } from './card-picture.ts'
import { noGuests } from './guests.ts'
import { lonelyGuest } from './lonely-guest.ts'

const first = { id: 'first', mac: '06:00:00:00:00:01' }
const second = { id: 'second', mac: '06:00:00:00:00:02' }
/** An unbind in the background that has begun, and does not end before whoever has the card lets go. */
const unbindWaits = `card=$1 driver=$2
setsid sh -c 'echo "$0" >"/sys/bus/pci/drivers/$1/unbind"' "$card" "$driver" >/dev/null 2>&1 </dev/null &
while [ -e /sys/bus/pci/devices/$card/driver ]; do sleep 0.1; done
sleep 1
kill -0 $!
echo $!`
const toVfio = `card=/sys/bus/pci/devices/$1
echo vfio-pci >$card/driver_override
echo $1 >$card/driver/unbind
echo $1 >/sys/bus/pci/drivers_probe
basename "$(readlink $card/iommu_group)"`

describe('cards of a virtual machine', { skip: noGuests }, () => {
  const directory = mkdtempSync('/tmp/jit-eni-guest-')
  let guest: Guest
  let cards: GuestCards

  before(async () => {
    guest = await lonelyGuest(directory)
    cards = new GuestCards(guest, directory)
    await guest.start()
  })
  after(async () => {
    await guest.kill()
    await cards[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  /** Its PCI address, once its driver has it. */
  const plugged = async (card: typeof first) => {
    await cards.plug(card)
    await interfaceOf(guest, card.mac)
    return bdfOf(card)
  }

  const bdfOf = async ({ mac }: typeof first) => (await cards.list()).find((card) => card.mac === mac)?.bdf ?? ''

  const enableCount = async (bdf: string) => Number(await guest.run('cat', [`/sys/bus/pci/devices/${bdf}/enable`]))

  const unbindWaiting = async (bdf: string, driver: string) =>
    (await guest.run('sh', ['-ec', unbindWaits, 'unbind', bdf, driver])).trim()

  const ends = (pid: string) => guest.script(`while [ -e /proc/${pid} ]; do sleep 0.1; done`)

  it('two functions come together, are in one IOMMU group, and go together', async () => {
    await cards.plugSibling(second)
    const bdf = await plugged(first)
    await interfaceOf(guest, second.mac)
    assert.equal(await bdfOf(second), bdf.replace(/0$/, '1'))
    const members = await guest.script(`ls /sys/bus/pci/devices/${bdf}/iommu_group/devices`)
    assert.deepEqual(members.trim().split('\n'), [bdf, await bdfOf(second)])
    await cards.unplug(first.mac)
    assert.deepEqual(
      (await cards.list()).map(({ mac }) => mac),
      [guest.primary.mac],
    )
  })

  it('who has the device of a card shows in its enable count, and an unbind waits for that one; not for who has its group', async () => {
    const writes = await DriverWrites.record(guest)
    const bdf = await plugged(first)
    const group = `/dev/vfio/${(await guest.run('sh', ['-ec', toVfio, 'bind', bdf])).trim()}`
    {
      await using _ = await CardHolder.ofGroup(guest, group)
      assert.equal(await enableCount(bdf), 0)
    }
    const holder = await CardHolder.ofDevice(guest, group, bdf)
    assert.equal(await enableCount(bdf), 1)
    const unbind = await unbindWaiting(bdf, 'vfio-pci')
    assert.equal(await enableCount(bdf), 1)
    assert.match(await guest.run('dmesg'), /device request|currently in use/i)
    await holder.end()
    await ends(unbind)
    assert.equal(await enableCount(bdf), 0)
    const files = (await writes.to(bdf)).map(({ file }) => file)
    assert.deepEqual(files, ['driver_override', 'unbind', 'drivers_probe', 'unbind'])
    await cards.unplug(first.mac)
  })

  it('an unbind from the driver of the kernel waits for who lets the card blink; the interface is out of sight meanwhile', async () => {
    const bdf = await plugged(first)
    const holder = await CardHolder.ofInterface(guest, await interfaceOf(guest, first.mac))
    const unbind = await unbindWaiting(bdf, 'e1000e')
    await guest.script(`until ! [ -e /sys/bus/pci/devices/${bdf}/net ]; do sleep 0.1; done`)
    assert.equal(await enableCount(bdf), 1)
    await holder.end()
    await ends(unbind)
    await cards.unplug(first.mac)
  })
})
