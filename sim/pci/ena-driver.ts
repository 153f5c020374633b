// The kernel's network driver: while it is bound the card has a network interface, named by the kernel and renamed by udev.
import type { PluggedCard } from './card.ts'
import type { NetworkStack } from './network-stack.ts'

export class EnaDriver {
  readonly #stack: NetworkStack

  constructor(stack: NetworkStack) {
    this.#stack = stack
  }

  /** The primary comes up with the machine, addressed by DHCP, whose answer sets the MTU; a later card stays down. */
  bind(card: PluggedCard, state: 'up' | 'down'): void {
    this.#stack.register(card, state === 'up' ? { isUp: true, mtu: 9001 } : { isUp: false, mtu: 1500 })
  }

  unbind(card: PluggedCard): void {
    this.#stack.unregister(card)
  }

  /** systemd's predictable name by slot: ens6 for 0000:00:06.0; nothing when the card has lost its interface meanwhile. */
  rename(card: PluggedCard): 'renamed' | 'busy' | 'gone' {
    return card.ifname === null ? 'gone' : this.#stack.rename(card, `ens${card.slot}`)
  }
}
