// Interfaces that the node itself uses, from the kernel's route tables. Their cards are never taken from it.
import { readFileSync } from 'node:fs'

export interface HostRoutes {
  /** Interfaces with any IPv4 route in the main table, or with a default route. */
  readonly used: ReadonlySet<string>
  /** Interfaces with a default route, of IPv4 or IPv6. */
  readonly uplinks: ReadonlySet<string>
}

/** RTF_REJECT (include/uapi/linux/route.h): the kernel's own "unreachable" default on lo. */
const rejectFlag = 0x200

/** @throws when the tables cannot be read: then nothing is known to be safe. IPv6 may be switched off. */
export function readHostRoutes(proc: string): HostRoutes {
  const ipv6 = optionalFile(`${proc}/net/ipv6_route`)
  return parseHostRoutes(readFileSync(`${proc}/net/route`, 'utf8'), ipv6)
}

/** Columns: net/ipv4/fib_trie.c, fib_route_seq_show; net/ipv6/route.c, rt6_info_route / ipv6_route_native_seq_show. */
export function parseHostRoutes(ipv4: string, ipv6: string): HostRoutes {
  const used = new Set<string>()
  const uplinks = new Set<string>()
  for (const line of ipv4.split('\n').slice(1)) {
    const [name, destination, , , , , , mask] = line.trim().split(/\s+/)
    if (name === undefined || name === '') continue
    used.add(name)
    if (destination === '00000000' && mask === '00000000') uplinks.add(name)
  }
  for (const line of ipv6.split('\n')) {
    const [destination, prefixLength, , , , , , , flags, name] = line.trim().split(/\s+/)
    if (name === undefined || destination !== '0'.repeat(32) || prefixLength !== '00') continue
    if ((Number.parseInt(flags ?? '0', 16) & rejectFlag) !== 0) continue
    // Every interface that is up has link-local routes, so of IPv6 only the default route tells that it is in use.
    used.add(name)
    uplinks.add(name)
  }
  return { used, uplinks }
}

function optionalFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
