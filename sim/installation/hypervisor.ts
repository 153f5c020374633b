// EC2's hand in the machines of an installation: an attach plugs a card into the node's simulated PCI bus or, of a node that is a virtual
// machine, into that by QEMU.
import type { Hypervisor, PluggedCard } from '../ec2/state/hypervisor.ts'
import type { GuestCards } from '../guest/cards.ts'
import type { PciBus } from '../pci/bus.ts'

/** Where the cards of one instance are plugged. */
export interface CardSlots {
  plug(card: PluggedCard): Promise<unknown>
  unplug(mac: string): Promise<void>
}

export function slotsOfBus(bus: PciBus): CardSlots {
  return {
    plug: ({ mac, eniId, deviceIndex }) => bus.plug({ mac, eniId, deviceIndex }),
    unplug: (mac) => bus.unplug({ mac }),
  }
}

export function slotsOfGuest(cards: GuestCards): CardSlots {
  return {
    plug: ({ eniId, mac }) => cards.plug({ id: eniId, mac }),
    unplug: (mac) => cards.unplug(mac),
  }
}

/** By instance id. */
export function hypervisorOver(instances: ReadonlyMap<string, CardSlots>): Hypervisor {
  const slotsOf = (instanceId: string) => {
    const slots = instances.get(instanceId)
    if (slots === undefined) throw new Error(`there is no ${instanceId} in the installation`)
    return slots
  }
  return {
    plug: async (instanceId, card) => {
      // The primary card is on the bus from its start.
      if (card.deviceIndex === 0 && card.networkCard === 0) return
      await slotsOf(instanceId).plug(card)
    },
    unplug: (instanceId, { mac }) => slotsOf(instanceId).unplug(mac),
  }
}
