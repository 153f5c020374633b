// The kernel's network driver: while it is bound the card has a network interface, named by the kernel and renamed by udev.
import { join } from 'node:path'

import { deviceDirectory, type PluggedCard } from './card.ts'
import type { SysfsTree } from './sysfs-tree.ts'

const interfaceDown = '0x1002\n'
const interfaceUp = '0x1003\n'

export class EnaDriver {
  readonly #tree: SysfsTree
  readonly #namesInUse = new Set<string>()
  #nextIfindex = 2 // 1 is lo

  constructor(tree: SysfsTree) {
    this.#tree = tree
  }

  /** The primary comes up with the machine, addressed by DHCP, whose answer sets the MTU; a later card stays down. */
  bind(card: PluggedCard, state: 'up' | 'down'): void {
    const ifname = this.#kernelName()
    const net = join(deviceDirectory(this.#tree, card.bdf), 'net')
    this.#tree.makeDirectory(net)
    this.#tree.placeDirectory(join(net, ifname), {
      address: `${card.mac}\n`,
      operstate: `${state}\n`,
      mtu: state === 'up' ? '9001\n' : '1500\n',
      flags: state === 'up' ? interfaceUp : interfaceDown,
      ifindex: `${this.#nextIfindex++}\n`,
      type: '1\n',
      device: { link: deviceDirectory(this.#tree, card.bdf) },
    })
    this.#show(card, ifname)
  }

  unbind(card: PluggedCard): void {
    if (card.ifname === null) return
    this.#hide(card, card.ifname)
    this.#tree.removeDirectory(join(deviceDirectory(this.#tree, card.bdf), 'net'))
  }

  /** systemd's predictable name by slot: ens6 for 0000:00:06.0. False when the card has lost its interface meanwhile. */
  rename(card: PluggedCard): boolean {
    const from = card.ifname
    const to = `ens${card.slot}`
    if (from === null || from === to) return false
    const net = join(deviceDirectory(this.#tree, card.bdf), 'net')
    this.#hide(card, from)
    this.#tree.move(join(net, from), join(net, to))
    this.#show(card, to)
    return true
  }

  // dev_alloc_name() takes the lowest free number, so once udev has renamed eth0 the next card is eth0 again.
  #kernelName(): string {
    let number = 0
    while (this.#namesInUse.has(`eth${number}`)) number++
    return `eth${number}`
  }

  #show(card: PluggedCard, ifname: string): void {
    this.#tree.link(this.#classLink(ifname), join(deviceDirectory(this.#tree, card.bdf), 'net', ifname))
    this.#namesInUse.add(ifname)
    card.ifname = ifname
  }

  #hide(card: PluggedCard, ifname: string): void {
    this.#tree.unlink(this.#classLink(ifname))
    this.#namesInUse.delete(ifname)
    card.ifname = null
  }

  #classLink(ifname: string): string {
    return this.#tree.at('sys/class/net', ifname)
  }
}
