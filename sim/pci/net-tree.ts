// The network interfaces of cards as sysfs shows them: <card>/net/<name>, and the link to it in sys/class/net.
import { join } from 'node:path'

import { deviceDirectory, type PluggedCard } from './card.ts'
import type { SysfsTree } from './sysfs-tree.ts'

/** IFF_BROADCAST and IFF_MULTICAST, without and with IFF_UP. */
const flagsDown = '0x1002\n'
const flagsUp = '0x1003\n'

export interface ShownInterface {
  readonly index: number
  readonly name: string
  readonly mac: string
  readonly mtu: number
  readonly isUp: boolean
}

export class NetTree {
  readonly #tree: SysfsTree
  readonly #shown = new Map<PluggedCard, ShownInterface>()

  constructor(tree: SysfsTree) {
    this.#tree = tree
  }

  shownOf(card: PluggedCard): ShownInterface | undefined {
    return this.#shown.get(card)
  }

  /** As it is from now on; under another name than before it is a renaming. */
  show(card: PluggedCard, shown: ShownInterface): void {
    const before = this.#shown.get(card)
    const net = this.#net(card)
    if (before === undefined) this.#place(card, shown)
    else if (before.name !== shown.name) this.#rename(card, before.name, shown.name)
    for (const [file, text] of Object.entries(files(shown))) {
      if (before === undefined || files(before)[file] !== text) this.#tree.write(join(net, shown.name, file), text)
    }
    this.#shown.set(card, shown)
    card.ifname = shown.name
  }

  hide(card: PluggedCard): void {
    const before = this.#shown.get(card)
    if (before === undefined) return
    this.#tree.unlink(this.#classLink(before.name))
    this.#tree.removeDirectory(this.#net(card))
    this.#shown.delete(card)
    card.ifname = null
  }

  #place(card: PluggedCard, shown: ShownInterface): void {
    const net = this.#net(card)
    this.#tree.makeDirectory(net)
    const device = { link: deviceDirectory(this.#tree, card.bdf) }
    this.#tree.placeDirectory(join(net, shown.name), { ...files(shown), type: '1\n', device })
    this.#tree.link(this.#classLink(shown.name), join(net, shown.name))
  }

  #rename(card: PluggedCard, from: string, to: string): void {
    const net = this.#net(card)
    this.#tree.unlink(this.#classLink(from))
    this.#tree.move(join(net, from), join(net, to))
    this.#tree.link(this.#classLink(to), join(net, to))
  }

  #net(card: PluggedCard): string {
    return join(deviceDirectory(this.#tree, card.bdf), 'net')
  }

  #classLink(name: string): string {
    return this.#tree.at('sys/class/net', name)
  }
}

function files({ index, name, mac, mtu, isUp }: ShownInterface): Readonly<Record<string, string>> {
  return {
    address: `${mac}\n`,
    operstate: isUp ? 'up\n' : 'down\n',
    mtu: `${mtu}\n`,
    flags: isUp ? flagsUp : flagsDown,
    ifindex: `${index}\n`,
    // NET_NAME_ENUM and NET_NAME_RENAMED (include/uapi/linux/netdevice.h).
    name_assign_type: /eth\d+$/.test(name) ? '1\n' : '4\n',
  }
}
