// The network interfaces of the node as the kernel's netlink shows them, and the few things that are set on them.
// sysfs has neither addresses nor alternative names, and a MAC is written in neither of the files below /proc/net.

export interface HostLink {
  /** ifindex; its own while it is in this network namespace, whatever it is called. */
  readonly index: number
  /** udev and CNIs rename interfaces, so it is good for one look only. */
  readonly name: string
  /** Lower case; empty for links without one. VLANs and ipvlans show that of the link below them. */
  readonly mac: string
  readonly altNames: readonly string[]
  readonly mtu: number
  /** undefined when the driver names none. */
  readonly maxMtu: number | undefined
  /** Administratively (IFF_UP), with or without carrier. */
  readonly isUp: boolean
  /** Bond, bridge or VRF that it belongs to. */
  readonly master: string | undefined
  /** Links that stand on this one: VLAN, macvlan, ipvlan. */
  readonly uppers: readonly string[]
  /** How many links of other network namespaces stand on this one and are up: the macvlans and ipvlans of pods. */
  readonly uppersElsewhere: number
  readonly addresses: readonly LinkAddress[]
}

export interface LinkAddress {
  /** "10.0.1.7" or "fe80::1". */
  readonly address: string
  readonly prefixLength: number
  /** global, site, link or host; every interface that is up has an IPv6 address of scope link. */
  readonly scope: string
}

/** Which link is changed: an index says it whatever the link is called by now. */
export type LinkIdentity = Pick<HostLink, 'index' | 'mac'>

export type LinkChange =
  | { readonly kind: 'up' }
  | { readonly kind: 'down' }
  | { readonly kind: 'set-mtu'; readonly mtu: number }
  | { readonly kind: 'add-alt-name'; readonly altName: string }
  | { readonly kind: 'remove-alt-name'; readonly altName: string }

export type LinksShown =
  | { readonly kind: 'shown'; readonly links: readonly HostLink[] }
  /** Nothing is known of any link: whoever must be sure before it touches a card leaves it alone. */
  | { readonly kind: 'failed'; readonly message: string }

export type LinkChanged =
  | { readonly kind: 'changed' }
  /** It has been moved to another network namespace, or is not there any more. */
  | { readonly kind: 'gone' }
  /** Another interface has the name, as its name or as an alternative one. */
  | { readonly kind: 'name-taken'; readonly altName: string }
  /** `message` says what was tried and what to do. */
  | { readonly kind: 'failed'; readonly message: string }

export interface HostLinks {
  /** Those of the node's own network namespace. */
  readonly show: () => Promise<LinksShown>
  /** In order, until one fails, of the link with this index if it has this MAC. */
  readonly change: (link: LinkIdentity, changes: readonly LinkChange[]) => Promise<LinkChanged>
}

/** Why the node itself may need this link, in a few words; undefined when nothing shows that it does. */
export function useOfLink(link: HostLink): string | undefined {
  const { master, uppers, addresses } = link
  if (master !== undefined) return `belongs to ${master}`
  const [upper] = uppers
  if (upper !== undefined) return `carries ${upper}`
  const elsewhere = useElsewhere(link)
  if (elsewhere !== undefined) return elsewhere
  const address = addresses.find(({ scope }) => scope !== 'link')
  return address && `has address ${address.address}`
}

/** How other network namespaces, those of pods as a rule, use this link; undefined when nothing shows that they do. */
export function useElsewhere({ uppersElsewhere }: Pick<HostLink, 'uppersElsewhere'>): string | undefined {
  if (uppersElsewhere === 0) return undefined
  return `carries ${uppersElsewhere} ipvlan or macvlan of other network namespaces, those of pods as a rule`
}
