// PCI functions that are no cards of the simulation: they are there, with a class and perhaps a driver, and nothing is done to
// them. One that shares a card's IOMMU group may be in use by somebody else.
import { join } from 'node:path'

import { deviceDirectory, deviceEntries, noNode, type PluggedCard } from './card.ts'
import type { SysfsTree } from './sysfs-tree.ts'
import type { VfioDriver } from './vfio-driver.ts'

export interface NewFunction {
  /** "0x010802" for an NVMe disk, "0x060400" for a PCI bridge. */
  readonly pciClass: string
  readonly deviceID: string
  readonly driver?: string
}

const lastFunction = 7

export class OtherFunctions {
  readonly #tree: SysfsTree
  readonly #vfio: VfioDriver
  readonly #addresses = new Set<string>()

  constructor(tree: SysfsTree, vfio: VfioDriver) {
    this.#tree = tree
    this.#vfio = vfio
  }

  /** The next function of the card's slot: 0000:00:06.1 beside 0000:00:06.0. */
  add(card: PluggedCard, { pciClass, deviceID, driver }: NewFunction): string {
    const bdf = this.#nextFunction(card.bdf)
    const tree = this.#tree
    this.#addresses.add(bdf)
    tree.placeDirectory(deviceDirectory(tree, bdf), deviceEntries(tree, { deviceID, pciClass, numaNode: noNode }))
    if (driver !== undefined) {
      const directory = tree.at('sys/bus/pci/drivers', driver)
      tree.makeDirectory(directory)
      tree.link(join(directory, bdf), deviceDirectory(tree, bdf))
      tree.link(join(deviceDirectory(tree, bdf), 'driver'), directory)
    }
    this.#vfio.addMember(card, bdf)
    tree.link(tree.at('sys/bus/pci/devices', bdf), deviceDirectory(tree, bdf))
    return bdf
  }

  #nextFunction(bdf: string): string {
    for (let number = 1; number <= lastFunction; number++) {
      const address = bdf.replace(/\.[0-7]$/, `.${number}`)
      if (!this.#addresses.has(address)) return address
    }
    throw new Error(`all functions of the slot of ${bdf} are taken`)
  }
}
