// proc/net/route, ipv6_route, if_inet6 and fib_trie: which interfaces the node itself uses. The primary has both default routes.
import { isIPv6 } from 'node:net'

import type { PluggedCard } from './card.ts'
import type { SysfsTree } from './sysfs-tree.ts'

const ipv4Header = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n'
// Little-endian hexadecimal, flags 0001 up, 0003 up with gateway (net/ipv4/fib_trie.c, fib_route_seq_show).
const ipv4Any = '00000000'
const gateway = '0100000A' // 10.0.0.1
const primarySubnet = '0000000A' // 10.0.0.0
const hostSubnet = '0000010A' // 10.1.0.0
const mask16 = '0000FFFF'

const ipv6Any = '0'.repeat(32)
const linkLocal = 'fe80'.padEnd(32, '0')
const ipv6Gateway = 'fe80'.padEnd(31, '0') + '1'

export class HostNetwork {
  readonly #tree: SysfsTree
  /** Cards besides the primary through which the node itself sends. */
  readonly #routed = new Set<string>()
  /** By PCI address of the card. */
  readonly #addresses = new Map<string, readonly string[]>()

  constructor(tree: SysfsTree) {
    this.#tree = tree
    tree.makeDirectory(tree.at('proc/net'))
  }

  routeThrough(card: PluggedCard): void {
    this.#routed.add(card.bdf)
  }

  /** In its full form, as "fd00:0:0:0:0:0:0:7". Its routes are in a table that proc/net/route does not show. */
  address(card: PluggedCard, address: string): void {
    this.#addresses.set(card.bdf, [...(this.#addresses.get(card.bdf) ?? []), address])
  }

  forget(card: PluggedCard): void {
    this.#routed.delete(card.bdf)
    this.#addresses.delete(card.bdf)
  }

  /** All of it goes by interface name, so this follows every change of names. */
  write(primary: PluggedCard, cards: readonly PluggedCard[]): void {
    const used = cards.filter((card) => this.#routed.has(card.bdf))
    const ipv4 = [
      ...named([primary], (name) => ipv4Route(name, ipv4Any, gateway, '0003', ipv4Any)),
      ...named([primary], (name) => ipv4Route(name, primarySubnet, ipv4Any, '0001', mask16)),
      ...named(used, (name) => ipv4Route(name, hostSubnet, ipv4Any, '0001', mask16)),
    ]
    const ipv6 = [
      ...named([primary], (name) => ipv6Route(name, linkLocal, 64, ipv6Any)),
      ...named([primary], (name) => ipv6Route(name, ipv6Any, 0, ipv6Gateway)),
    ]
    this.#tree.write(this.#tree.at('proc/net/route'), ipv4Header + ipv4.join(''))
    this.#tree.write(this.#tree.at('proc/net/ipv6_route'), ipv6.join(''))
    const addressed = cards.filter(({ ifname }) => ifname !== null)
    const own = addressed.flatMap((card) => (this.#addresses.get(card.bdf) ?? []).map((address) => ({ card, address })))
    const inet6 = own.filter(({ address }) => isIPv6(address))
    const inet4 = own.filter(({ address }) => !isIPv6(address)).map(({ address }) => address)
    const lines = inet6.flatMap(({ card, address }) => named([card], (name) => inet6Line(name, address)))
    this.#tree.write(this.#tree.at('proc/net/if_inet6'), lines.join(''))
    this.#tree.write(this.#tree.at('proc/net/fib_trie'), fibTrie(['127.0.0.1', ...inet4]))
  }
}

/** Global scope, permanent (net/ipv6/addrconf.c, if6_seq_show). */
function inet6Line(ifname: string, address: string): string {
  const digits = address.split(':').map((group) => group.padStart(4, '0'))
  return `${digits.join('')} 02 40 00 80 ${ifname.padStart(8)}\n`
}

/** Leaves alone: of the trie's inner nodes nobody takes notice (net/ipv4/fib_trie.c, fib_trie_seq_show). */
function fibTrie(local: readonly string[]): string {
  return `Local:\n${local.map((address) => `     |-- ${address}\n        /32 host LOCAL\n`).join('')}`
}

function named(cards: readonly PluggedCard[], line: (ifname: string) => string): string[] {
  return cards.flatMap(({ ifname }) => (ifname === null ? [] : [line(ifname)]))
}

function ipv4Route(ifname: string, destination: string, via: string, flags: string, mask: string): string {
  return `${[ifname, destination, via, flags, 0, 0, 0, mask, 0, 0, 0].join('\t')}\n`
}

function ipv6Route(ifname: string, destination: string, prefixLength: number, via: string): string {
  const length = prefixLength.toString(16).padStart(2, '0')
  return `${destination} ${length} ${ipv6Any} 00 ${via} 00000400 00000001 00000000 00000003 ${ifname.padStart(8)}\n`
}
