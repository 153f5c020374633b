// A network stack in memory, shown in the simulated sysfs, and as HostLinks what iproute2 would say of it.
// Modelled: names and alternative names of one space, each taken once; indices that are never used again; MTU between the bounds
//   of ena; up and down, down on each move between network namespaces; alternative names that move along; addresses, which do not.
// Not modelled: IPv6 link-local addresses, masters, links on top of others but for their count in pods, lo, the links of other
//   network namespaces.
import type { HostLink, HostLinks, LinkChange, LinkChanged, LinkIdentity } from '../../src/device-plugin/host-links.ts'
import type { PluggedCard } from './card.ts'
import type { NetTree } from './net-tree.ts'
import type { GivenBack, NetworkStack, NewInterface } from './network-stack.ts'

/** ENA_MIN_MTU and ENA's max_mtu (drivers/net/ethernet/amazon/ena). */
const minMtu = 128
const maxMtu = 9216

export class SimulatedStack implements NetworkStack {
  readonly #tree: NetTree
  readonly #onChange: (card: PluggedCard, nameBefore: string | null) => void
  readonly #links = new Map<PluggedCard, HostLink>()
  readonly #inPods = new Map<PluggedCard, HostLink>()
  /** By a program of the node. Before Linux 6.2 an interface that is up is not renamed (dev_change_name in net/core/dev.c). */
  readonly #setUp = new Set<PluggedCard>()
  #nextIndex = 2 // 1 is lo

  /** `onChange`: sysfs shows another name, or has lost or got back the interface. */
  constructor(tree: NetTree, onChange: (card: PluggedCard, nameBefore: string | null) => void) {
    this.#tree = tree
    this.#onChange = onChange
  }

  readonly links: HostLinks = {
    show: async () => ({ kind: 'shown', links: [...this.#links.values()] }),
    change: async (link, changes) => {
      for (const change of changes) {
        const outcome = this.#change(link, change)
        if (outcome.kind !== 'changed') return outcome
      }
      return { kind: 'changed' }
    },
  }

  async start(): Promise<void> {}

  register(card: PluggedCard, { isUp, mtu }: NewInterface): void {
    this.#set(card, {
      index: this.#nextIndex++,
      name: this.#freeName(),
      mac: card.mac.toLowerCase(),
      altNames: [],
      mtu,
      maxMtu,
      isUp,
      master: undefined,
      uppers: [],
      uppersElsewhere: 0,
      addresses: [],
    })
  }

  unregister(card: PluggedCard): void {
    this.#inPods.delete(card)
    this.#links.delete(card)
    this.#setUp.delete(card)
    this.#tree.hide(card)
  }

  rename(card: PluggedCard, to: string): 'renamed' | 'busy' {
    if (card.ifname === to) return 'renamed'
    if (this.#setUp.has(card)) return 'busy'
    if (this.#isTaken(to)) throw new Error(`the name ${to} is taken`)
    this.#set(card, { ...this.#of(card), name: to })
    return 'renamed'
  }

  addAddress(card: PluggedCard, address: string): void {
    const link = this.#of(card)
    const added = { address, prefixLength: address.includes(':') ? 64 : 24, scope: 'global' }
    this.#set(card, { ...link, addresses: [...link.addresses, added] })
  }

  moveToPod(card: PluggedCard, nameInPod: string): void {
    this.#inPods.set(card, { ...this.#of(card), name: nameInPod, isUp: false, addresses: [] })
    this.#links.delete(card)
    const before = card.ifname
    this.#tree.hide(card)
    this.#onChange(card, before)
  }

  moveBack(card: PluggedCard, { name, mtu, dropsAltNames }: GivenBack): void {
    const link = this.#inPods.get(card)
    if (link === undefined) throw new Error(`the interface of ${card.bdf} is in no pod`)
    this.#inPods.delete(card)
    const changed = { name: name ?? link.name, mtu: mtu ?? link.mtu }
    // dev_change_net_namespace() keeps the index when it is free in the namespace that it comes to.
    this.#set(card, { ...link, ...changed, isUp: false, ...(dropsAltNames === true && { altNames: [] }) })
  }

  shareWithPod(card: PluggedCard): void {
    const link = this.#of(card)
    this.#set(card, { ...link, uppersElsewhere: link.uppersElsewhere + 1 })
  }

  endShare(card: PluggedCard): void {
    const link = this.#of(card)
    this.#set(card, { ...link, uppersElsewhere: link.uppersElsewhere - 1 })
  }

  stop(): void {}

  #change({ index, mac }: LinkIdentity, change: LinkChange): LinkChanged {
    const found = [...this.#links].find(([, link]) => link.index === index && link.mac === mac)
    if (found === undefined) return { kind: 'gone' }
    const [card, link] = found
    switch (change.kind) {
      case 'up':
      case 'down':
        if (change.kind === 'up') this.#setUp.add(card)
        else this.#setUp.delete(card)
        this.#set(card, { ...link, isUp: change.kind === 'up' })
        return { kind: 'changed' }
      case 'set-mtu':
        if (change.mtu > maxMtu) return { kind: 'failed', message: 'Error: mtu greater than device maximum.' }
        if (change.mtu < minMtu) return { kind: 'failed', message: 'Error: mtu less than device minimum.' }
        this.#set(card, { ...link, mtu: change.mtu })
        return { kind: 'changed' }
      case 'add-alt-name':
        if (this.#isTaken(change.altName)) return { kind: 'name-taken', altName: change.altName }
        this.#set(card, { ...link, altNames: [...link.altNames, change.altName] })
        return { kind: 'changed' }
      case 'remove-alt-name':
        this.#set(card, { ...link, altNames: link.altNames.filter((name) => name !== change.altName) })
        return { kind: 'changed' }
    }
  }

  #of(card: PluggedCard): HostLink {
    const link = this.#links.get(card)
    if (link === undefined) throw new Error(`${card.bdf} has no interface on the node`)
    return link
  }

  #set(card: PluggedCard, link: HostLink): void {
    const before = card.ifname
    this.#links.set(card, link)
    this.#tree.show(card, link)
    if (card.ifname !== before) this.#onChange(card, before)
  }

  #isTaken(name: string): boolean {
    return [...this.#links.values()].some((link) => link.name === name || link.altNames.includes(name))
  }

  // dev_alloc_name() takes the lowest free number, so once udev has renamed eth0 the next card is eth0 again.
  #freeName(): string {
    let number = 0
    while (this.#isTaken(`eth${number}`)) number++
    return `eth${number}`
  }
}
