// What the node itself uses of its network: interfaces with routes or addresses. Their cards are never taken from it.
// All of it is read from files below /proc, and so from any directory; only netlink would tell which interface has which IPv4
// address, so of IPv4 there is the set of addresses that are the node's own.
import { readFileSync } from 'node:fs'

export interface HostNetwork {
  /** Interfaces with any IPv4 route in the main table, a default route, or an IPv6 address that is not link-local. */
  readonly used: ReadonlySet<string>
  /** Interfaces with a default route, of IPv4 or IPv6. */
  readonly uplinks: ReadonlySet<string>
  /** IPv4 addresses of the node, whichever table routes them. */
  readonly addresses: ReadonlySet<string>
}

/** The files as text; those of IPv6 are empty when it is switched off. */
export interface HostNetworkFiles {
  readonly route: string
  readonly ipv6Route: string
  readonly ifInet6: string
  readonly fibTrie: string
}

/** RTF_REJECT (include/uapi/linux/route.h): the kernel's own "unreachable" default on lo. */
const rejectFlag = 0x200
/** IPV6_ADDR_LINKLOCAL, without the type bits (include/net/ipv6.h). Every interface that is up has such an address. */
const linkLocalScope = '20'

/** @throws when the files of IPv4 cannot be read: then nothing is known to be safe. */
export function readHostNetwork(proc: string): HostNetwork {
  return parseHostNetwork({
    route: readFileSync(`${proc}/net/route`, 'utf8'),
    ipv6Route: optionalFile(`${proc}/net/ipv6_route`),
    ifInet6: optionalFile(`${proc}/net/if_inet6`),
    fibTrie: readFileSync(`${proc}/net/fib_trie`, 'utf8'),
  })
}

/** Columns: net/ipv4/fib_trie.c, fib_route_seq_show; net/ipv6/route.c, rt6_info_route; net/ipv6/addrconf.c, if6_seq_show. */
export function parseHostNetwork({ route, ipv6Route, ifInet6, fibTrie }: HostNetworkFiles): HostNetwork {
  const used = new Set<string>()
  const uplinks = new Set<string>()
  for (const line of route.split('\n').slice(1)) {
    const [name, destination, , , , , , mask] = columns(line)
    if (name === undefined || name === '') continue
    used.add(name)
    if (destination === '00000000' && mask === '00000000') uplinks.add(name)
  }
  for (const line of ipv6Route.split('\n')) {
    const [destination, prefixLength, , , , , , , flags, name] = columns(line)
    if (name === undefined || destination !== '0'.repeat(32) || prefixLength !== '00') continue
    if ((Number.parseInt(flags ?? '0', 16) & rejectFlag) !== 0) continue
    // Every interface that is up has link-local routes, so of IPv6 only the default route tells that it is in use.
    used.add(name)
    uplinks.add(name)
  }
  for (const line of ifInet6.split('\n')) {
    const [, , , scope, , name] = columns(line)
    if (name !== undefined && scope !== linkLocalScope) used.add(name)
  }
  return { used, uplinks, addresses: new Set(localAddresses(fibTrie)) }
}

/** A leaf "|-- 10.0.1.7", then its prefixes; that of an address of this host is "/32 host LOCAL" (fib_trie_seq_show). */
function* localAddresses(fibTrie: string): Generator<string> {
  let leaf = ''
  for (const line of fibTrie.split('\n')) {
    const text = line.trim()
    if (text.startsWith('|-- ')) leaf = text.slice('|-- '.length)
    else if (text === '/32 host LOCAL') yield leaf
  }
}

function columns(line: string): string[] {
  return line.trim().split(/\s+/)
}

function optionalFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
