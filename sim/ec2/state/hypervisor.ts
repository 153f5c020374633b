// What the simulated EC2 does to a machine: it makes cards appear in the guest and disappear from it.
// Behind it are the simulated PCI bus (sim/pci), or a virtual machine with a real one (sim/guest); tests of the wire need none.

export interface PluggedCard {
  readonly eniId: string
  readonly mac: string
  readonly deviceIndex: number
  readonly networkCard: number
}

export interface Hypervisor {
  /** The card is on the instance's bus once this returns or resolves. */
  plug(instanceId: string, card: PluggedCard): void | Promise<void>
  /** Resolves when the guest has let go of the card; the interface stays `detaching` until then. */
  unplug(instanceId: string, card: { readonly eniId: string; readonly mac: string }): void | Promise<void>
}

export const noHypervisor: Hypervisor = { plug() {}, unplug() {} }
