// HostLinks over iproute2's `ip`: Node has no netlink socket. A process per call, no shell, bounded in time and output.
import { type ExecFileException, execFile } from 'node:child_process'
import { z } from 'zod'

import type { HostLink, HostLinks, LinkChange, LinkChanged, LinkIdentity, LinksShown } from './host-links.ts'

const addressSchema = z.object({ local: z.string(), prefixlen: z.int(), scope: z.string() })

/** ipaddress.c of iproute2 6.1; what it leaves out is printed as an empty object. */
const linkSchema = z.object({
  ifindex: z.int().min(1),
  ifname: z.string().min(1),
  flags: z.array(z.string()),
  mtu: z.int().min(0),
  /** 0 when the driver names none (net_device.max_mtu). */
  max_mtu: z.int().min(0).optional(),
  address: z.string().optional(),
  altnames: z.array(z.string()).optional(),
  master: z.string().optional(),
  /** The link below it, when both are in this namespace; null of a tunnel that stands on none (tunl0@NONE). */
  link: z.string().nullish(),
  linkinfo: z.object({ info_kind: z.string().optional() }).optional(),
  addr_info: z.array(z.union([addressSchema, z.strictObject({})])).optional(),
})
const linksSchema = z.array(z.union([linkSchema, z.strictObject({})]))
type ShownLink = z.output<typeof linkSchema>

/**
 * ipmaddr.c of iproute2 6.1: `link` is an address that the link receives, `address` an IP group that its own namespace has joined on it;
 * `users` is left out when it is 1.
 */
const groupSchema = z.object({ link: z.string().optional(), address: z.string().optional(), users: z.int().optional() })
const groupsSchema = z.array(z.object({ ifindex: z.int().min(1), maddr: z.array(groupSchema).optional() }))

/**
 * That of 224.0.0.1. Each link that is up is in this group (ip_mc_up, net/ipv4/igmp.c), and a link that stands on another one asks for
 * its groups there (dev_mc_sync), from whichever network namespace: so the address has a user more than the lower link itself for each.
 * The kernel says it in no other way: of uppers in other namespaces it makes no link in sysfs (net/core/dev.c,
 * netdev_adjacent_is_neigh_list), and netlink shows them there only.
 */
const allHosts = '01:00:5e:00:00:01'
/** Its lower 23 bits are all that is left of a group (RFC 1112, section 6.4): 239.0.0.1, say, is another user of the same address. */
const allHostsGroup = /^\d+\.(0|128)\.0\.1$/
/** Kinds that do so, among those that name a link below them. */
const askingKinds: ReadonlySet<string | undefined> = new Set([
  'ipvlan',
  'ipvtap',
  'macsec',
  'macvlan',
  'macvtap',
  'vlan',
])
/** And among those to which a link can belong (bond_set_rx_mode, team_set_rx_mode, hsr_set_rx_mode). */
const askingMasters: ReadonlySet<string | undefined> = new Set(['bond', 'hsr', 'team'])

/** `ip` takes 2 ms; one that takes this long waits for a lock in the kernel. */
const defaultDeadlineMs = 5_000
/** About 1 kB per link, and a node has one or two for each pod. */
const outputMaxBytes = 8 * 1024 * 1024

export interface IprouteOptions {
  /** Found by PATH unless it is a path. */
  readonly command?: string
  /** Before all others, such as -n and a network namespace. */
  readonly args?: readonly string[]
  readonly deadlineMs?: number
}

type Run = { readonly kind: 'done'; readonly output: string } | { readonly kind: 'failed'; readonly message: string }

export class IprouteLinks implements HostLinks {
  readonly #command: string
  readonly #args: readonly string[]
  readonly #deadlineMs: number
  #stuck = false

  constructor({ command = 'ip', args = [], deadlineMs = defaultDeadlineMs }: IprouteOptions = {}) {
    this.#command = command
    this.#args = args
    this.#deadlineMs = deadlineMs
  }

  async show(): Promise<LinksShown> {
    // Before the links: one that comes up in between must not look as if another stood on it.
    const groups = await this.#run(['-j', 'maddress', 'show'])
    if (groups.kind === 'failed') return groups
    const run = await this.#run(['-j', '-d', 'address', 'show'])
    if (run.kind === 'failed') return run
    return parseLinks(run.output, groups.output)
  }

  async change(link: LinkIdentity, changes: readonly LinkChange[]): Promise<LinkChanged> {
    // "if" and the index names a link whatever it is called at that moment (ll_idx_a2n in iproute2's lib/ll_map.c).
    const device = `if${link.index}`
    // Since the look it may have left the namespace, and in theory the index may be another link's.
    const before = await this.show()
    if (before.kind === 'failed') return before
    if (!hasLink(before.links, link)) return { kind: 'gone' }
    for (const change of changes) {
      const run = await this.#run(argumentsOf(device, change))
      const refused = run.kind === 'done' ? undefined : refusal(run.message, change)
      if (refused !== undefined) return refused
    }
    return { kind: 'changed' }
  }

  /** Resolves within the deadline, also when the process cannot be ended: then no other is started until it has. */
  #run(args: readonly string[]): Promise<Run> {
    const { promise, resolve } = Promise.withResolvers<Run>()
    const line = [this.#command, ...this.#args, ...args].join(' ')
    if (this.#stuck) return Promise.resolve({ kind: 'failed', message: `${line}: an earlier ip has not ended` })
    const options = { maxBuffer: outputMaxBytes, encoding: 'utf8', windowsHide: true } as const
    const child = execFile(this.#command, [...this.#args, ...args], options, (error, stdout, stderr) => {
      clearTimeout(timer)
      this.#stuck = false
      if (error === null) resolve({ kind: 'done', output: stdout })
      else resolve({ kind: 'failed', message: `${line}: ${causeOf(error, stderr)}` })
    })
    const timer = setTimeout(() => {
      this.#stuck = true
      child.kill('SIGKILL')
      resolve({ kind: 'failed', message: `${line}: no answer within ${this.#deadlineMs} ms` })
    }, this.#deadlineMs)
    return promise
  }
}

function argumentsOf(device: string, change: LinkChange): readonly string[] {
  switch (change.kind) {
    case 'up':
    case 'down':
      return ['link', 'set', 'dev', device, change.kind]
    case 'set-mtu':
      return ['link', 'set', 'dev', device, 'mtu', String(change.mtu)]
    case 'add-alt-name':
      return ['link', 'property', 'add', 'dev', device, 'altname', change.altName]
    case 'remove-alt-name':
      return ['link', 'property', 'del', 'dev', device, 'altname', change.altName]
  }
}

/** The kernel's errno as iproute2 prints it (strerror). */
function refusal(message: string, change: LinkChange): LinkChanged | undefined {
  if (message.includes('No such device') || message.includes('Cannot find device')) return { kind: 'gone' }
  if (change.kind === 'add-alt-name' && message.includes('File exists')) {
    return { kind: 'name-taken', altName: change.altName }
  }
  // Gone already is as good.
  if (change.kind === 'remove-alt-name' && message.includes('No such file')) return undefined
  if (!message.includes('Operation not permitted')) return { kind: 'failed', message }
  return { kind: 'failed', message: `${message}; add NET_ADMIN to the capabilities of the device plugin` }
}

function causeOf(error: ExecFileException, stderr: string): string {
  if (error.code === 'ENOENT') return 'there is no such program; iproute2 must be in the image'
  const [text = ''] = stderr.trim().split('\n')
  return text.slice(0, 300) || error.message.slice(0, 300)
}

function hasLink(links: readonly HostLink[], { index, mac }: LinkIdentity): boolean {
  return links.some((link) => link.index === index && link.mac === mac)
}

/** Without `groups` nothing is known to stand on a link from elsewhere. */
export function parseLinks(json: string, groups = '[]'): LinksShown {
  try {
    const shown = linksSchema.parse(JSON.parse(json)).filter((link): link is ShownLink => 'ifname' in link)
    const askers = askersByLink(groupsSchema.parse(JSON.parse(groups)))
    return { kind: 'shown', links: shown.map((link) => hostLink(link, shown, askers.get(link.ifindex) ?? 0)) }
  } catch (error) {
    return { kind: 'failed', message: `the output of ip is not what is expected: ${String(error).slice(0, 300)}` }
  }
}

/** By ifindex: how many links on top ask for the groups of all hosts, beside what its own namespace has joined on it. */
function askersByLink(groups: z.output<typeof groupsSchema>): ReadonlyMap<number, number> {
  const askers = groups.map(({ ifindex, maddr = [] }) => {
    const received = maddr.find(({ link }) => link === allHosts)
    const users = received === undefined ? 0 : (received.users ?? 1)
    const joined = maddr.filter(({ address }) => address !== undefined && allHostsGroup.test(address))
    return [ifindex, users - joined.length] as const
  })
  return new Map(askers)
}

function hostLink(link: ShownLink, all: readonly ShownLink[], askers: number): HostLink {
  // Each end of a veth pair names the other; that is no link on top.
  const uppers = all.filter((other) => other.link === link.ifname && other.linkinfo?.info_kind !== 'veth')
  const masters = all.filter(({ ifname }) => ifname === link.master)
  const askersHere = [
    ...uppers.filter(({ linkinfo }) => askingKinds.has(linkinfo?.info_kind)),
    ...masters.filter(({ linkinfo }) => askingMasters.has(linkinfo?.info_kind)),
  ].filter(isUp)
  return {
    index: link.ifindex,
    name: link.ifname,
    mac: (link.address ?? '').toLowerCase(),
    altNames: link.altnames ?? [],
    mtu: link.mtu,
    maxMtu: link.max_mtu === 0 ? undefined : link.max_mtu,
    isUp: isUp(link),
    master: link.master,
    uppers: uppers.map(({ ifname }) => ifname),
    uppersElsewhere: Math.max(0, askers - askersHere.length),
    addresses: (link.addr_info ?? [])
      .filter((info) => 'local' in info)
      .map(({ local, prefixlen, scope }) => ({ address: local, prefixLength: prefixlen, scope })),
  }
}

function isUp({ flags }: ShownLink): boolean {
  return flags.includes('UP')
}
