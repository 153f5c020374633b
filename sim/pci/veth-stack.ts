// A network stack of real links: each interface of a card is one end of a veth pair with the card's MAC, in a network namespace
// that stands for the node's; sysfs is made to show what the kernel has, whoever has changed it.
// Modelled by the kernel itself: all that iproute2 can do. By this file: sysfs, a few milliseconds behind (`ip monitor`).
// Not modelled: an interface comes back by itself when the namespace of its pod ends (a veth ends with it; moveBack does it);
//   MTU bounds of ena (veth has 68 to 65535). Needs root.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

import type { HostLink, HostLinks } from '../../src/device-plugin/host-links.ts'
import { IprouteLinks, parseLinks } from '../../src/device-plugin/iproute-links.ts'
import type { PluggedCard } from './card.ts'
import type { NetTree } from './net-tree.ts'
import type { GivenBack, NetworkStack, NewInterface } from './network-stack.ts'

/** Names of namespaces that are ours, with the process that made them. */
const namespacePattern = /^jt-(\d+)-/

const gatherMs = 5

export interface VethStackOptions {
  readonly tree: NetTree
  /** A namespace of this node alone, in which names are as on a real node; or that of the machine, with names of our own. */
  readonly place: 'own-namespace' | 'machine'
  /** Sysfs shows another name, or has lost or got back the interface. */
  readonly onChange: (card: PluggedCard, nameBefore: string | null) => void
}

export class VethStack implements NetworkStack {
  readonly links: HostLinks
  /** Network namespace of the node; undefined for that of the machine. */
  readonly namespace: string | undefined
  readonly #options: VethStackOptions
  readonly #podNamespace: string
  /** Where the far ends are: the network beyond the cards. */
  readonly #farNamespace: string
  readonly #prefix: string
  readonly #cards = new Set<PluggedCard>()
  #monitor: ChildProcess | undefined
  #soon: NodeJS.Timeout | undefined

  constructor(options: VethStackOptions) {
    const serial = randomBytes(3).toString('hex')
    const ours = `jt-${process.pid}-${serial}`
    this.#options = options
    this.namespace = options.place === 'machine' ? undefined : ours
    this.#podNamespace = `${ours}-pods`
    this.#farNamespace = `${ours}-far`
    this.#prefix = options.place === 'machine' ? `j${serial}` : ''
    this.links = new IprouteLinks({ args: inNamespace(this.namespace) })
  }

  async start(): Promise<void> {
    removeLeftovers()
    for (const namespace of this.#namespaces()) ip(['netns', 'add', namespace])
    const monitor = spawn('ip', [...inNamespace(this.namespace), '-o', 'monitor', 'link'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#monitor = monitor
    const { promise: listens, resolve } = Promise.withResolvers<void>()
    createInterface(monitor.stdout).on('line', () => {
      resolve()
      this.#syncSoon()
    })
    await this.#untilItListens(listens)
  }

  register(card: PluggedCard, { isUp, mtu }: NewInterface): void {
    const name = this.#freeName()
    const far = `far${card.slot}`
    ip(['-n', this.#farNamespace, 'link', 'add', 'name', far, 'type', 'veth', 'peer', 'name', name, 'address', card.mac, ...this.#netnsArgs()]) // prettier-ignore
    ip(['-n', this.#farNamespace, 'link', 'set', 'dev', far, 'mtu', '9216', 'up'])
    this.#node(['link', 'set', 'dev', name, 'mtu', String(mtu), isUp ? 'up' : 'down'])
    this.#cards.add(card)
    this.#sync()
  }

  unregister(card: PluggedCard): void {
    if (!this.#cards.delete(card)) return
    ip(['-n', this.#farNamespace, 'link', 'del', 'dev', `far${card.slot}`])
    this.#options.tree.hide(card)
  }

  rename(card: PluggedCard, to: string): 'renamed' | 'busy' {
    try {
      this.#node(['link', 'set', 'dev', nameOf(card), 'name', `${this.#prefix}${to}`])
    } catch (error) {
      if (String(error).includes('Device or resource busy')) return 'busy'
      throw error
    }
    this.#sync()
    return 'renamed'
  }

  addAddress(card: PluggedCard, address: string): void {
    this.#node(['address', 'add', `${address}/${address.includes(':') ? 64 : 24}`, 'dev', nameOf(card)])
  }

  moveToPod(card: PluggedCard, nameInPod: string): void {
    const name = nameOf(card)
    this.#node(['link', 'set', 'dev', name, 'netns', this.#podNamespace])
    this.#pod(['link', 'set', 'dev', name, 'name', nameInPod])
    this.#pod(['link', 'set', 'dev', nameInPod, 'up'])
    this.#sync()
  }

  moveBack(card: PluggedCard, { name, mtu, dropsAltNames }: GivenBack): void {
    const shown = shownLinks(['-n', this.#podNamespace])
    const link = shown.find(({ mac }) => mac === card.mac.toLowerCase())
    if (link === undefined) throw new Error(`the interface of ${card.bdf} is in no pod`)
    this.#pod(['link', 'set', 'dev', link.name, 'down'])
    if (mtu !== undefined) this.#pod(['link', 'set', 'dev', link.name, 'mtu', String(mtu)])
    for (const altName of dropsAltNames === true ? link.altNames : []) {
      this.#pod(['link', 'property', 'del', 'dev', link.name, 'altname', altName])
    }
    const nameBack = `${this.#prefix}${name ?? link.name}`
    if (nameBack !== link.name) this.#pod(['link', 'set', 'dev', link.name, 'name', nameBack])
    this.#pod(['link', 'set', 'dev', nameBack, ...this.#netnsArgs()])
    this.#sync()
  }

  shareWithPod(card: PluggedCard, nameInPod: string): void {
    // Not ipvlan, which not every kernel has.
    const kind = ['type', 'macvlan', 'mode', 'bridge']
    this.#node(['link', 'add', 'link', nameOf(card), 'name', nameInPod, 'netns', this.#podNamespace, ...kind])
    this.#pod(['link', 'set', 'dev', nameInPod, 'up'])
  }

  endShare(_card: PluggedCard, nameInPod: string): void {
    this.#pod(['link', 'delete', 'dev', nameInPod])
  }

  stop(): void {
    clearTimeout(this.#soon)
    this.#monitor?.kill('SIGKILL')
    this.#monitor = undefined
    // The far ends take the near ends with them, wherever those are.
    for (const namespace of this.#namespaces().toReversed()) removeNamespace(namespace)
  }

  #namespaces(): readonly string[] {
    return [this.namespace, this.#podNamespace, this.#farNamespace].filter((name) => name !== undefined)
  }

  /** `ip monitor` says nothing when it begins to listen, so something is changed until it tells. */
  async #untilItListens(listens: Promise<void>): Promise<void> {
    const stop = new AbortController()
    void listens.then(() => stop.abort())
    while (!stop.signal.aborted) {
      const probe = `${this.#prefix || 'jt'}probe`
      this.#node(['link', 'add', 'name', probe, 'type', 'veth', 'peer', 'name', `${probe}2`])
      this.#node(['link', 'del', 'dev', probe])
      await delay(10, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  }

  /** A change is told in several lines, and each look is a process. */
  #syncSoon(): void {
    // What it still had to say when it was ended.
    if (this.#monitor === undefined) return
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined
      this.#sync()
    }, gatherMs)
  }

  /** Sysfs as the kernel has it now. */
  #sync(): void {
    const links = shownLinks(inNamespace(this.namespace))
    for (const card of this.#cards) {
      const before = card.ifname
      // Other nodes, of other processes too, may have links with the same MAC in the machine's namespace.
      const link = links.find(({ mac, name }) => mac === card.mac.toLowerCase() && name.startsWith(this.#prefix))
      if (link === undefined) this.#options.tree.hide(card)
      else this.#options.tree.show(card, link)
      if (before !== card.ifname) this.#options.onChange(card, before)
    }
  }

  #freeName(): string {
    const taken = new Set(shownLinks(inNamespace(this.namespace)).flatMap((link) => [link.name, ...link.altNames]))
    let number = 0
    while (taken.has(`${this.#prefix}eth${number}`)) number++
    return `${this.#prefix}eth${number}`
  }

  #netnsArgs(): readonly string[] {
    // A pid stands for the namespace of that process.
    return ['netns', this.namespace ?? String(process.pid)]
  }

  #node(args: readonly string[]): void {
    ip([...inNamespace(this.namespace), ...args])
  }

  #pod(args: readonly string[]): void {
    ip(['-n', this.#podNamespace, ...args])
  }
}

function inNamespace(namespace: string | undefined): readonly string[] {
  return namespace === undefined ? [] : ['-n', namespace]
}

function nameOf(card: PluggedCard): string {
  if (card.ifname === null) throw new Error(`${card.bdf} has no interface on the node`)
  return card.ifname
}

/** A probe of the kernel is one step, so nothing else of this process runs meanwhile; each call takes 2 ms. */
function ip(args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function shownLinks(namespaceArgs: readonly string[]): readonly HostLink[] {
  const shown = parseLinks(ip([...namespaceArgs, '-j', '-d', 'address', 'show']))
  if (shown.kind === 'failed') throw new Error(shown.message)
  return shown.links
}

function removeNamespace(namespace: string): void {
  try {
    ip(['netns', 'delete', namespace])
  } catch {
    // It was not made, or somebody has removed it.
  }
}

/** What processes have left that were killed. */
function removeLeftovers(): void {
  for (const line of ip(['netns', 'list']).split('\n')) {
    const [name = ''] = line.split(' ')
    const [, pid] = namespacePattern.exec(name) ?? []
    if (pid !== undefined && !isAlive(Number(pid))) removeNamespace(name)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
