// Which driver has which card: what bind, unbind and drivers_probe do (drivers/base/bus.c, dd.c), and the links that show it.
// A driver link comes last when a card is bound and goes last when it is unbound, so whoever sees it sees the whole state.
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
  async probe(card: PluggedCard): Promise<void> {
    if (card.driver !== null) return this.#refuse('drivers_probe', card.bdf, 'EINVAL')
    const wanted = takeDriverOverride(this.#tree, card.bdf) ?? 'ena'
    const driver = driverNames.find((name) => name === wanted)
    if (driver === undefined) return this.#effects.report('probe-failed', card.snapshot(), `no driver ${wanted}`)
    const failure = await this.#attach(card, driver)
    if (failure !== null) this.#effects.report('probe-failed', card.snapshot(), failure)
  }

  /** drivers/<name>/bind. Only ena knows the card by its ids; the others take it only when the override names them. */
  async bind(card: PluggedCard, driver: DriverName): Promise<void> {
    const file = `drivers/${driver}/bind`
    if (card.driver !== null) return this.#refuse(file, card.bdf, 'EBUSY')
    const wanted = takeDriverOverride(this.#tree, card.bdf) ?? 'ena'
    if (wanted !== driver) return this.#refuse(file, card.bdf, 'ENODEV')
    if ((await this.#attach(card, driver)) !== null) this.#refuse(file, card.bdf, 'EINVAL')
  }

  /** drivers/<name>/unbind: waits while a process has the card's device open. */
  async unbind(card: PluggedCard, driver: DriverName): Promise<void> {
    if (card.driver !== driver) return this.#refuse(`drivers/${driver}/unbind`, card.bdf, 'ENODEV')
    await this.released(card, 'unbind')
    this.detach(card)
  }

  async released(card: PluggedCard, operation: 'unbind' | 'unplug'): Promise<void> {
    if (!this.#held.has(card.bdf)) return
    this.#effects.report('waiting', card.snapshot(), operation)
    await this.#held.released(card.bdf)
  }

  /** Takes the driver away whether or not the card is in use. */
  detach(card: PluggedCard): void {
    const driver = card.driver
    if (driver === null) return
    this.#drivers[driver].unbind(card)
    card.driver = null
    this.#tree.write(join(deviceDirectory(this.#tree, card.bdf), 'enable'), '0\n')
    this.#tree.unlink(this.#linkInDriver(card, driver))
    this.#tree.unlink(join(deviceDirectory(this.#tree, card.bdf), 'driver'))
    this.#effects.report('unbound', card.snapshot(), driver)
  }

  /** Any time: a write that names a card which is not there, say. */
  refuseUnknown(file: string, bdf: string): void {
    this.#refuse(file, bdf, 'ENODEV')
  }

  async #attach(card: PluggedCard, driver: DriverName): Promise<string | null> {
    if (driver === 'ena') this.#drivers.ena.bind(card, this.#isPrimary(card) ? 'up' : 'down')
    if (driver === 'igb_uio') await this.#drivers.igb_uio.bind(card)
    if (driver === 'vfio-pci') {
      const failure = await this.#drivers['vfio-pci'].bind(card)
      if (failure !== null) return failure
    }
    card.driver = driver
    this.#tree.write(join(deviceDirectory(this.#tree, card.bdf), 'enable'), '1\n')
    this.#tree.link(this.#linkInDriver(card, driver), deviceDirectory(this.#tree, card.bdf))
    this.#tree.link(join(deviceDirectory(this.#tree, card.bdf), 'driver'), this.#tree.at('sys/bus/pci/drivers', driver))
    this.#effects.report('bound', card.snapshot())
    return null
  }

  #linkInDriver(card: PluggedCard, driver: DriverName): string {
    return this.#tree.at('sys/bus/pci/drivers', driver, card.bdf)
  }

  #refuse(file: string, bdf: string, errno: RefusedWrite['errno']): void {
    this.#effects.report('write-refused', { file, bdf, errno })
  }
}
