// Which driver has which card: what bind, unbind and drivers_probe do (drivers/base/bus.c, dd.c), and the links that show it.
// A driver link comes before the driver's probe and goes before its removal (driver_sysfs_add and _remove in dd.c), so it tells
// nothing of how far either has come.
import { join } from 'node:path'

import { deviceDirectory, takeDriverOverride, type DriverName, type PluggedCard } from './card.ts'
import type { PciEffectFeed, RefusedWrite } from './effects.ts'
import type { EnaDriver } from './ena-driver.ts'
import type { HeldCards } from './held-cards.ts'
import type { SysfsTree } from './sysfs-tree.ts'
import type { UioDriver } from './uio-driver.ts'
import type { VfioDriver } from './vfio-driver.ts'

export const driverNames = ['ena', 'vfio-pci', 'igb_uio'] as const satisfies readonly DriverName[]

export interface Drivers {
  readonly ena: EnaDriver
  readonly 'vfio-pci': VfioDriver
  readonly igb_uio: UioDriver
}

/** Expects its caller to have the lock of the card, except where said otherwise. */
export class DriverBinding {
  readonly #tree: SysfsTree
  readonly #drivers: Drivers
  readonly #held: HeldCards
  readonly #effects: PciEffectFeed
  readonly #isPrimary: (card: PluggedCard) => boolean

  constructor(
    tree: SysfsTree,
    drivers: Drivers,
    held: HeldCards,
    effects: PciEffectFeed,
    isPrimary: (card: PluggedCard) => boolean,
  ) {
    this.#tree = tree
    this.#drivers = drivers
    this.#held = held
    this.#effects = effects
    this.#isPrimary = isPrimary
  }

  /** drivers_probe, and what the kernel does by itself when a card appears: the override's driver, else the one that knows the card. */
  probe(card: PluggedCard): void {
    // bus_rescan_devices_helper leaves a card that has a driver alone, and that is success.
    if (card.driver !== null) return
    const wanted = takeDriverOverride(this.#tree, card.bdf) ?? 'ena'
    const driver = driverNames.find((name) => name === wanted)
    if (driver === undefined) return this.#effects.report('probe-failed', card.snapshot(), `no driver ${wanted}`)
    const failure = this.#attach(card, driver)
    if (failure !== null) this.#effects.report('probe-failed', card.snapshot(), failure)
  }

  /**
   * drivers/<name>/bind. Only ena knows the card by its ids; the others take it only when the override names them. Whether the
   * driver matches the card is asked before whether the card is free (bind_store).
   */
  bind(card: PluggedCard, driver: DriverName): void {
    const file = `drivers/${driver}/bind`
    const wanted = takeDriverOverride(this.#tree, card.bdf) ?? 'ena'
    if (wanted !== driver) return this.#refuse(file, card.bdf, 'ENODEV')
    if (card.driver !== null) return this.#refuse(file, card.bdf, 'EBUSY')
    if (this.#attach(card, driver) !== null) this.#refuse(file, card.bdf, 'EINVAL')
  }

  /** drivers/<name>/unbind. */
  async unbind(card: PluggedCard, driver: DriverName): Promise<void> {
    if (card.driver !== driver) return this.#refuse(`drivers/${driver}/unbind`, card.bdf, 'ENODEV')
    await this.detach(card, 'unbind')
  }

  /**
   * Takes the driver away: its link at once, all else when no process has the card's device open any more. A network driver takes its
   * interface away before it waits for whoever has that one (unregister_netdevice; `ethtool --identify` is such a one).
   */
  async detach(card: PluggedCard, operation: 'unbind' | 'unplug'): Promise<void> {
    const { driver } = card
    if (driver === null) return
    this.#effects.report('unbinding', card.snapshot(), driver)
    this.#unlink(card, driver)
    if (driver === 'ena') this.#drivers.ena.unbind(card)
    if (this.#held.has(card.bdf)) {
      this.#effects.report('waiting', card.snapshot(), operation)
      await this.#held.released(card.bdf)
    }
    if (driver !== 'ena') this.#drivers[driver].unbind(card)
    card.driver = null
    this.showUse(card)
    this.#effects.report('unbound', card.snapshot(), driver)
  }

  /**
   * Any time: `enable` counts who has enabled the card. Network drivers and igb_uio do so in their probe, vfio-pci while a process
   * has the card open (vfio_pci_core_enable).
   */
  showUse(card: PluggedCard): void {
    const isEnabled = card.driver !== null && (card.driver !== 'vfio-pci' || this.#held.has(card.bdf))
    this.#tree.write(join(deviceDirectory(this.#tree, card.bdf), 'enable'), isEnabled ? '1\n' : '0\n')
  }

  /** Any time: a write that names a card which is not there, say. */
  refuseUnknown(file: string, bdf: string): void {
    this.#refuse(file, bdf, 'ENODEV')
  }

  #attach(card: PluggedCard, driver: DriverName): string | null {
    this.#link(card, driver)
    const failure = this.#probeBy(driver, card)
    if (failure !== null) {
      this.#unlink(card, driver)
      return failure
    }
    card.driver = driver
    this.showUse(card)
    this.#effects.report('bound', card.snapshot())
    return null
  }

  #probeBy(driver: DriverName, card: PluggedCard): string | null {
    switch (driver) {
      case 'ena':
        this.#drivers.ena.bind(card, this.#isPrimary(card) ? 'up' : 'down')
        return null
      case 'igb_uio':
        this.#drivers.igb_uio.bind(card)
        return null
      case 'vfio-pci':
        return this.#drivers['vfio-pci'].bind(card)
    }
  }

  #link(card: PluggedCard, driver: DriverName): void {
    this.#tree.link(this.#linkInDriver(card, driver), deviceDirectory(this.#tree, card.bdf))
    this.#tree.link(this.#linkToDriver(card), this.#tree.at('sys/bus/pci/drivers', driver))
  }

  #unlink(card: PluggedCard, driver: DriverName): void {
    this.#tree.unlink(this.#linkInDriver(card, driver))
    this.#tree.unlink(this.#linkToDriver(card))
  }

  #linkToDriver(card: PluggedCard): string {
    return join(deviceDirectory(this.#tree, card.bdf), 'driver')
  }

  #linkInDriver(card: PluggedCard, driver: DriverName): string {
    return this.#tree.at('sys/bus/pci/drivers', driver, card.bdf)
  }

  #refuse(file: string, bdf: string, errno: RefusedWrite['errno']): void {
    this.#effects.report('write-refused', { file, bdf, errno })
  }
}
