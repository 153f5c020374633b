// What a guest's kernel itself told of a card, in its order: uevents, which nothing between two looks can slip through.
import { setTimeout as delay } from 'node:timers/promises'
import type { Guest } from '../../sim/guest/guest.ts'

const log = '/run/card-history'
const pollMs = 100
const startPolls = 100

export interface CardEvent {
  /** `add`, `bind`, `unbind`, `remove` (Documentation/ABI/testing/sysfs-uevent; lib/kobject_uevent.c). */
  readonly action: string
  /** That a `bind` is to. At an `unbind` the kernel does not say any more which one it was (drivers/base/dd.c). */
  readonly driver: string | undefined
  /** Seconds since the guest's boot. */
  readonly uptime: number
}

export class CardHistory {
  readonly #guest: Guest

  private constructor(guest: Guest) {
    this.#guest = guest
  }

  /** From here on, until the guest ends or is reset. */
  static async start(guest: Guest): Promise<CardHistory> {
    const monitor = 'udevadm monitor --kernel --property --subsystem-match=pci'
    await guest.script(`setsid stdbuf -oL ${monitor} >>${log} 2>&1 </dev/null &`)
    for (let poll = 0; poll < startPolls; poll++) {
      if ((await guest.script(`cat ${log}`)).includes('KERNEL - ')) return new CardHistory(guest)
      await delay(pollMs)
    }
    throw new Error(`udevadm monitor does not start in guest ${guest.name}`)
  }

  /** Of the card at that PCI address, since `clear`. */
  async of(pciAddress: string): Promise<CardEvent[]> {
    return cardEvents(await this.#guest.script(`cat ${log}`), pciAddress)
  }

  /** Forgets all, for the next card at an address is another one. */
  async clear(): Promise<void> {
    await this.#guest.script(`: >${log}`)
  }
}

/** `text` is what `udevadm monitor --kernel --property` writes. */
function cardEvents(text: string, pciAddress: string): CardEvent[] {
  return text.split(/\n(?=KERNEL\[)/).flatMap((block) => {
    const uptime = /^KERNEL\[([\d.]+)\]/m.exec(block)?.[1]
    const property = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(block)?.[1]
    const action = property('ACTION')
    if (uptime === undefined || action === undefined || property('PCI_SLOT_NAME') !== pciAddress) return []
    return [{ action, driver: property('DRIVER'), uptime: Number(uptime) }]
  })
}
