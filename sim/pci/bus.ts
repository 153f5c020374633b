// The PCI bus of one simulated node: a tree of plain files below `root` that reacts to writes as sysfs does.
// Modelled: hot-plug of ENA cards at the next free address; drivers ena, vfio-pci, igb_uio with bind, unbind, drivers_probe and
//   driver_override; interfaces, their renaming and their way into a pod and back; IOMMU groups with and without an IOMMU, of one card or of
//   several functions;
//   other functions of a card's slot, with any class and driver; `enable`, which under vfio-pci is 1 only while a process has the
//   card open; device nodes; unbind and unplug of a card in use, which wait, an unplug holding up all hot-plug behind it; routes
//   and addresses of the node; reboot.
// Not modelled: the writer. A write to a control file returns at once and well: no errno (the effect 'write-refused' has it), no
//   blocking while the card is in use, and reading is not refused. driver_override is read when a probe comes; end its text with
//   a newline. No uevents. The links of a card that vanishes go one after the other, not in one step. Other functions
//   keep their driver whatever is written, and stay when their card goes. Whether all members of a group let a process open it.
//   Several buses, addresses of the primary.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import type { HostLinks } from '../../src/device-plugin/host-links.ts'
import { bdfOfSlot, deviceDirectory, deviceEntries, PluggedCard, type Card } from './card.ts'
import type { ControlFile } from './control-file.ts'
import { DriverBinding, driverNames, type Drivers } from './driver-binding.ts'
import { openDriverControls } from './driver-controls.ts'
import { DeviceNodes } from './device-node.ts'
import { EffectFeed } from './effect-feed.ts'
import type { PciEffectFeed, PciEffects } from './effects.ts'
import { EnaDriver } from './ena-driver.ts'
import { type NewFunction, OtherFunctions } from './other-functions.ts'
import { HeldCards } from './held-cards.ts'
import { HostNetwork } from './host-network.ts'
import { Lane } from './lane.ts'
import { NetTree } from './net-tree.ts'
import type { GivenBack, NetworkStack } from './network-stack.ts'
import { SimulatedStack } from './simulated-stack.ts'
import { VethStack } from './veth-stack.ts'
import { SysfsTree } from './sysfs-tree.ts'
import { UioDriver } from './uio-driver.ts'
import { VfioDriver, type IommuMode } from './vfio-driver.ts'

/** Nitro puts the primary at 0000:00:05.0 and later cards behind it. */
const primarySlot = 5
const lastSlot = 31

export interface PciBusOptions {
  /** An existing directory of this node alone. The bus fills it and leaves it to its owner to remove. */
  readonly root: string
  readonly iommu: IommuMode
  readonly primaryMac: string
  /** From plug() to the card's appearance. */
  readonly plugDelayMs?: number
  /** Whether udev renames interfaces (eth0 to ens6), and how long after they appear. */
  readonly rename?: boolean
  readonly renameDelayMs?: number
  /**
   * Interfaces in memory, unless said otherwise; or real ones, in a network namespace of this node alone, or in that of the
   * machine for a plugin that cannot enter another one.
   */
  readonly interfaces?: 'simulated' | 'veth' | 'veth-in-machine-namespace'
}

export interface NewCard extends Pick<Card, 'mac' | 'eniId' | 'deviceIndex'> {
  /** PCI address of a card whose IOMMU group it joins, as behind a bridge that does not keep them apart. */
  readonly inGroupOf?: string
  /** "1d0f:ec21", vendor and device as lspci -n writes them; 1d0f:ec20 unless said otherwise. */
  readonly deviceID?: string
  /** What the platform says of it; -1, which is none, unless said otherwise. */
  readonly numaNode?: number
}

export async function startPciBus(options: PciBusOptions): Promise<PciBus> {
  const bus = new PciBus(options)
  await bus.start()
  return bus
}

export class PciBus {
  readonly root: string
  readonly effects: PciEffectFeed
  readonly #options: PciBusOptions
  readonly #stop = new AbortController()
  readonly #tree: SysfsTree
  readonly #nodes: DeviceNodes
  readonly #drivers: Drivers
  readonly #binding: DriverBinding
  readonly #held: HeldCards
  readonly #network: HostNetwork
  readonly #others: OtherFunctions
  readonly #stack: NetworkStack
  readonly #primary: PluggedCard
  readonly #cards = new Map<string, PluggedCard>()
  readonly #notRenamed = new Set<PluggedCard>()
  /** The machine's one hot-plug thread: a removal that waits stalls all that come after it. */
  readonly #hotplug = new Lane()
  #controlFiles: readonly ControlFile[] = []

  constructor(options: PciBusOptions) {
    this.#options = options
    this.root = options.root
    this.effects = new EffectFeed<PciEffects>(this.#stop.signal)
    this.#tree = new SysfsTree(options.root)
    this.#nodes = new DeviceNodes(this.#tree)
    this.#held = new HeldCards(this.#stop.signal)
    this.#network = new HostNetwork(this.#tree)
    this.#stack = this.#newStack(new NetTree(this.#tree))
    this.#drivers = {
      ena: new EnaDriver(this.#stack),
      'vfio-pci': new VfioDriver(this.#tree, this.#nodes, options.iommu),
      igb_uio: new UioDriver(this.#tree, this.#nodes),
    }
    this.#others = new OtherFunctions(this.#tree, this.#drivers['vfio-pci'])
    this.#primary = new PluggedCard({
      bdf: bdfOfSlot(primarySlot),
      mac: options.primaryMac,
      eniId: 'eni-primary',
      deviceIndex: 0,
    })
    this.#binding = new DriverBinding(
      this.#tree,
      this.#drivers,
      this.#held,
      this.effects,
      (card) => card === this.#primary,
    )
    // Routes and addresses go by interface name, and each of these changes names.
    for (const kind of ['bound', 'unbound', 'net-renamed', 'net-left', 'net-came-back'] as const)
      this.effects.on(kind, () => this.#writeNetwork())
    this.effects.on('bound', (card) => {
      if (card.driver === 'ena' && options.rename !== false) this.#supervise(this.#renameByUdev(card.bdf))
    })
  }

  async start(): Promise<void> {
    const tree = this.#tree
    const drivers = driverNames.map((name) => `sys/bus/pci/drivers/${name}`)
    for (const directory of ['sys/bus/pci/devices', 'sys/devices/pci0000:00', 'sys/class/net', ...drivers]) {
      tree.makeDirectory(tree.at(directory))
    }
    await this.#drivers['vfio-pci'].start()
    await this.#stack.start()
    this.#newBootId()
    this.#controlFiles = await openDriverControls({
      tree,
      binding: this.#binding,
      cardAt: (bdf) => this.#cards.get(bdf),
      supervise: this.#supervise,
    })
    await this.#appear(this.#primary)
    await this.#named(this.#primary)
  }

  /** The node's interfaces as netlink shows them. */
  get links(): HostLinks {
    return this.#stack.links
  }

  /** Resolves when the card has its driver and its final interface name. */
  async plug(card: NewCard): Promise<Card> {
    const { plugDelayMs = 0 } = this.#options
    if (plugDelayMs > 0) await delay(plugDelayMs, undefined, { signal: this.#stop.signal })
    const plugged = await this.#hotplug.run(async () => {
      const arrival = new PluggedCard({ ...card, bdf: this.#nextFreeAddress() })
      const mate = card.inGroupOf === undefined ? undefined : this.#cardAt(card.inGroupOf)
      await this.#appear(arrival, mate)
      return arrival
    })
    await this.#named(plugged)
    return plugged.snapshot()
  }

  /** Resolves when nothing is left of the card; waits for as long as the card is held. */
  unplug({ mac }: Pick<Card, 'mac'>): Promise<void> {
    return this.#hotplug.run(() => {
      const card = this.#byMac(mac)
      return card.lock.run(async () => {
        await this.#disappear(card)
        this.effects.report('unplugged', card.snapshot())
      })
    })
  }

  /** Another function of the card's slot, and with an IOMMU of its group. Returns its PCI address. */
  addFunction(bdf: string, options: NewFunction): string {
    return this.#others.add(this.#cardAt(bdf), options)
  }

  /** As if a process opened the card's device. */
  hold(bdf: string): void {
    this.#held.hold(bdf)
    const card = this.#cards.get(bdf)
    if (card !== undefined) this.#binding.showUse(card)
  }

  release(bdf: string): void {
    this.#held.release(bdf)
    const card = this.#cards.get(bdf)
    if (card !== undefined) this.#binding.showUse(card)
  }

  /** As if the node sent through the card: its route table names the card's interface from now on. */
  useByHost(bdf: string): void {
    this.#network.routeThrough(this.#cardAt(bdf))
    this.#writeNetwork()
  }

  /** As if somebody gave the card an address, IPv4 or IPv6, and put its routes in a table of their own. */
  addressByHost(bdf: string, address: string): void {
    this.#network.address(this.#cardAt(bdf), address)
    this.#stack.addAddress(this.#cardAt(bdf), address)
    this.#writeNetwork()
  }

  /** Of the node, when its interfaces are real and do not live in the machine's own. */
  get networkNamespace(): string | undefined {
    return this.#stack instanceof VethStack ? this.#stack.namespace : undefined
  }

  /** As if a CNI put the card's interface into a pod's network namespace, under the name that it is to have there. */
  moveToPod(bdf: string, nameInPod: string): void {
    this.#stack.moveToPod(this.#cardAt(bdf), nameInPod)
  }

  /** As if a CNI gave a pod a link that stands on the card's interface, macvlan or ipvlan, under this name. */
  shareWithPod(bdf: string, nameInPod: string): void {
    this.#stack.shareWithPod(this.#cardAt(bdf), nameInPod)
  }

  /** As if the network namespace of that pod came to its end. */
  endShare(bdf: string, nameInPod: string): void {
    this.#stack.endShare(this.#cardAt(bdf), nameInPod)
  }

  /** As if the pod's network namespace came to its end. */
  moveBack(bdf: string, given: GivenBack = {}): void {
    this.#stack.moveBack(this.#cardAt(bdf), given)
  }

  /** The primary is one of them, the first. */
  cards(): readonly Card[] {
    return [...this.#cards.values()].map((card) => card.snapshot())
  }

  /**
   * Every process is gone, every card is found anew and has the kernel's default driver; overrides are forgotten. The boot finds the cards
   * by their addresses, whenever they were plugged, and numbers their groups so; cards that share a group share one again.
   */
  async reboot(): Promise<void> {
    this.#held.releaseAll()
    await this.#hotplug.run(async () => {
      const cards = [...this.#cards.values()].toSorted((a, b) => (a.bdf < b.bdf ? -1 : 1))
      const groups = new Map(cards.map((card) => [card, card.iommuGroup]))
      for (const card of cards) await card.lock.run(() => this.#disappear(card))
      this.#newBootId()
      for (const [index, card] of cards.entries()) {
        const group = groups.get(card)
        const mate = group === null ? undefined : cards.slice(0, index).find((other) => groups.get(other) === group)
        await this.#appear(card, mate)
      }
    })
    for (const card of this.#cards.values()) await this.#named(card)
    this.effects.report('rebooted')
  }

  /** Ends all waiting. Control files are removed, for a pipe without a reader would block its writers. */
  stop(): void {
    this.#stop.abort(new Error(`the PCI bus at ${this.root} has stopped`))
    this.#held.releaseAll()
    for (const file of this.#controlFiles) file.close()
    this.#stack.stop()
  }

  async #appear(card: PluggedCard, groupMate?: PluggedCard): Promise<void> {
    await this.#nodes.makeFor(this.#cards.size + 1)
    await card.lock.run(() => {
      const directory = deviceDirectory(this.#tree, card.bdf)
      this.#tree.placeDirectory(directory, deviceEntries(this.#tree, card))
      this.#drivers['vfio-pci'].plugged(card, groupMate)
      this.#tree.link(this.#busLink(card), directory)
      this.#cards.set(card.bdf, card)
      this.effects.report('plugged', card.snapshot())
      this.#binding.probe(card)
    })
  }

  async #disappear(card: PluggedCard): Promise<void> {
    await this.#binding.detach(card, 'unplug')
    this.#drivers['vfio-pci'].unplugged(card)
    this.#network.forget(card)
    this.#tree.unlink(this.#busLink(card))
    this.#tree.removeDirectory(deviceDirectory(this.#tree, card.bdf))
    this.#cards.delete(card.bdf)
  }

  /** udev names each new interface; resolves when this one has its final name, or none any more. */
  #named(card: PluggedCard): Promise<void> {
    const isNamed = () => !/eth\d+$/.test(card.ifname ?? '') || this.#notRenamed.has(card)
    return this.effects.until(() => this.#options.rename === false || isNamed())
  }

  async #renameByUdev(bdf: string): Promise<void> {
    await delay(this.#options.renameDelayMs ?? 0, undefined, { signal: this.#stop.signal })
    const card = this.#cards.get(bdf)
    await card?.lock.run(() => {
      if (this.#drivers.ena.rename(card) !== 'busy') return
      this.#notRenamed.add(card)
      this.effects.report('net-not-renamed', card.snapshot())
    })
  }

  #newStack(tree: NetTree): NetworkStack {
    const onChange = (card: PluggedCard, before: string | null) => this.#interfaceChanged(card, before)
    switch (this.#options.interfaces ?? 'simulated') {
      case 'simulated':
        return new SimulatedStack(tree, onChange)
      case 'veth':
        return new VethStack({ tree, place: 'own-namespace', onChange })
      case 'veth-in-machine-namespace':
        return new VethStack({ tree, place: 'machine', onChange })
    }
  }

  /** What the driver's probe and removal do to it is told by 'bound' and 'unbound'. */
  #interfaceChanged(card: PluggedCard, before: string | null): void {
    if (card.driver !== 'ena') return
    if (card.ifname === null) this.effects.report('net-left', card.snapshot())
    else if (before === null) this.effects.report('net-came-back', card.snapshot())
    else this.effects.report('net-renamed', card.snapshot(), before)
  }

  #cardAt(bdf: string): PluggedCard {
    const card = this.#cards.get(bdf)
    if (card === undefined) throw new Error(`no card at ${bdf}`)
    return card
  }

  #byMac(mac: string): PluggedCard {
    for (const card of this.#cards.values()) {
      if (card.mac === mac && card !== this.#primary) return card
    }
    throw new Error(`no card with MAC ${mac} that could be unplugged from ${this.root}`)
  }

  #nextFreeAddress(): string {
    for (let slot = primarySlot + 1; slot <= lastSlot; slot++) {
      const bdf = bdfOfSlot(slot)
      if (!this.#cards.has(bdf)) return bdf
    }
    throw new Error(`all PCI addresses of ${this.root} are taken`)
  }

  #busLink(card: PluggedCard): string {
    return this.#tree.at('sys/bus/pci/devices', card.bdf)
  }

  #newBootId(): void {
    const directory = this.#tree.at('proc/sys/kernel/random')
    this.#tree.makeDirectory(directory)
    this.#tree.write(join(directory, 'boot_id'), `${randomUUID()}\n`)
  }

  #writeNetwork(): void {
    this.#network.write(this.#primary, [...this.#cards.values()])
  }

  /** A failure that no caller waits for is a bug of the simulator and ends the process as an unhandled rejection. */
  readonly #supervise = (work: Promise<void>): void => {
    void work.catch((failure: unknown) => {
      if (!this.#stop.signal.aborted) throw failure
    })
  }
}
