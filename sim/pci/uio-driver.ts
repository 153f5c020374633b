// igb_uio: /dev/uioN and a uio/uioN directory below the device for as long as it is bound.
import { join } from 'node:path'

import { deviceDirectory, type PluggedCard } from './card.ts'
import type { DeviceNodes } from './device-node.ts'
import type { SysfsTree } from './sysfs-tree.ts'

export class UioDriver {
  readonly #tree: SysfsTree
  readonly #nodes: DeviceNodes
  readonly #numbers = new Map<string, number>()

  constructor(tree: SysfsTree, nodes: DeviceNodes) {
    this.#tree = tree
    this.#nodes = nodes
    tree.makeDirectory(tree.at('sys/class/uio'))
  }

  bind(card: PluggedCard): void {
    const taken = new Set(this.#numbers.values())
    let number = 0
    while (taken.has(number)) number++
    this.#numbers.set(card.bdf, number)

    const device = deviceDirectory(this.#tree, card.bdf)
    const directory = join(device, 'uio', `uio${number}`)
    this.#tree.makeDirectory(join(device, 'uio'))
    this.#tree.placeDirectory(directory, { name: 'igb_uio\n', device: { link: device } })
    this.#tree.link(this.#tree.at('sys/class/uio', `uio${number}`), directory)
    card.deviceNode = `/dev/uio${number}`
    this.#nodes.placeUio(card.deviceNode, number)
  }

  unbind(card: PluggedCard): void {
    const number = this.#numbers.get(card.bdf)
    if (number === undefined) return
    this.#numbers.delete(card.bdf)
    this.#nodes.remove(`dev/uio${number}`)
    card.deviceNode = null
    this.#tree.unlink(this.#tree.at('sys/class/uio', `uio${number}`))
    this.#tree.removeDirectory(join(deviceDirectory(this.#tree, card.bdf), 'uio'))
  }
}
