// Gathers for one ENIAttachment the facts on which plan.ts decides.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import { type NodeENI, userspaceDriverOf } from '../api/node-eni.ts'
import type { CardWork } from './card-work.ts'
import type { DeviceLists } from './device-lists.ts'
import type { HostNetwork } from './host-network.ts'
import type { LinkFacts } from './kernel-plan.ts'
import type { LinkCorrections } from './link-corrections.ts'
import type { WantedLink } from './link-plan.ts'
import { isOfUserspace, type Journal, type JournalEntry } from './journal.ts'
import { type KnownCard, macOf, type Match } from './match.ts'
import type { LinksView, NodeLinks } from './node-links.ts'
import type { NodeDemand } from './node-demand.ts'
import { deviceKey, type Occupancy } from './occupancy.ts'
import type { GroupMate, PciCard } from './pci-scan.ts'
import type { PrimaryInterface, Situation } from './plan.ts'
import type { Step } from './step.ts'
import type { ResourceCheck } from './resource-name.ts'

/** What one pass has found on the node and in the cluster. */
export interface Findings {
  readonly demand: NodeDemand
  readonly matches: ReadonlyMap<string, Match>
  readonly host: HostNetwork
  /** By UID of the attachment. */
  readonly altNames: ReadonlyMap<string, string>
  readonly primary: PrimaryInterface
}

/** What this process knows already. */
export interface Knowledge {
  readonly journal: Journal
  readonly lists: DeviceLists
  readonly occupancy: Occupancy
  readonly work: CardWork
  readonly links: Pick<NodeLinks, 'view'>
  readonly corrections: LinkCorrections
  readonly hasDriver: (driver: string) => boolean
  /** A driver that is not there may come soon: this process, and with it perhaps the node, has just started. */
  readonly mayDriverCome: () => boolean
  /** Vendor and device, as "1d0f:ec20". */
  readonly allowedDevices: ReadonlySet<string>
  readonly resourceProblem: ResourceCheck
  /** A container that starts with this device gets this card's nodes. */
  readonly isDescribed: (resource: string, card: PciCard) => boolean
}

export interface PlacedSituation extends Situation {
  /** PCI address of the card, or the last one that it had. */
  readonly address: string | undefined
  /** Of its device, when it has a resource and an address. */
  readonly key: string | undefined
  /** Of the NodeENI, in bytes; undefined where it leaves the driver's. */
  readonly mtu: number | undefined
}

/** What one pass does about one attachment. */
export interface Plan {
  readonly situation: PlacedSituation
  readonly step: Step
}

export function situationOf(
  attachment: ENIAttachment,
  findings: Findings,
  knowledge: Knowledge,
  cardAgeMs: number,
): PlacedSituation {
  const { uid } = attachment.metadata
  const { resourceName, nodeENI: nodeENIName } = attachment.spec
  const match = findings.matches.get(uid) ?? { kind: 'absent' }
  const entry = match.kind === 'found' ? match.card.entry : knowledge.journal.ofAttachment(uid)
  const nodeENI = findings.demand.nodeENIs.get(nodeENIName)
  const wanted = wantedDriver(entry, nodeENI && (userspaceDriverOf(nodeENI.spec) ?? 'kernel'))
  const address = addressOf(attachment, match, entry, findings.matches)
  const key = resourceName !== undefined && address !== undefined ? deviceKey(resourceName, address) : undefined
  return {
    attachment,
    match,
    wanted,
    driver: driverFor(wanted, knowledge),
    expectedAddress: nodeENI?.spec.dpdkPCIAddress,
    generation: nodeENI?.metadata.generation,
    host: findings.host,
    primary: findings.primary,
    isAllowed: match.kind === 'found' && knowledge.allowedDevices.has(match.card.deviceID),
    foreignMates: match.kind === 'found' ? foreignMates(match.card, findings) : [],
    groupSpokenFor: match.kind === 'found' ? ownMateBefore(match.card, findings, knowledge) : undefined,
    listed: listedFor(uid, resourceName, address, knowledge),
    occupancy: occupancyOf(key, knowledge.occupancy),
    linkFacts: linkFactsOf(attachment, match, knowledge.links.view),
    cardAgeMs,
    wantedLink: nodeENI && wantedLink(nodeENI, findings.altNames.get(uid)),
    isCorrectionDue: knowledge.corrections.isDue(uid),
    isJournaled: entry !== undefined,
    resourceProblem: resourceName === undefined ? undefined : knowledge.resourceProblem(resourceName),
    isDescribed:
      resourceName === undefined || match.kind !== 'found' || knowledge.isDescribed(resourceName, match.card),
    work: knowledge.work.stateOf(uid),
    address,
    key,
    mtu: nodeENI?.spec.mtu || undefined,
  }
}

/** How a look at the node's interfaces is asked for this one; undefined while it is not in sight. */
export function linkQuestion({ attachment, match, wanted }: Situation): string | undefined {
  const name = wanted === 'kernel' ? interfaceNameOf(attachment, match) : undefined
  return name && linkQuestionFor(attachment.metadata.uid, name)
}

/** The name that the interface with the MAC of the ENI has now. */
export function interfaceNameOf(attachment: ENIAttachment, match: Match): string | undefined {
  if (match.kind !== 'found') return undefined
  return match.card.interfaces.find(({ mac }) => mac === macOf(attachment))?.name
}

export function linkQuestionFor(attachmentUID: string, name: string): string {
  return `${attachmentUID} ${name}`
}

function linkFactsOf(attachment: ENIAttachment, match: Match, view: LinksView | undefined): LinkFacts {
  const name = interfaceNameOf(attachment, match)
  if (name === undefined) return { kind: 'out-of-sight' }
  if (view === undefined) return { kind: 'unknown' }
  if (view.kind === 'failed') return { kind: 'unreadable', message: view.message }
  // A VLAN on it has the same MAC.
  const link = view.links.find((seen) => seen.name === name && seen.mac === macOf(attachment))
  if (link !== undefined) return { kind: 'seen', link }
  return view.asked.has(linkQuestionFor(attachment.metadata.uid, name)) ? { kind: 'hidden', name } : { kind: 'unknown' }
}

/** As in the API, an mtu of 0 is none. */
function wantedLink({ spec }: NodeENI, altName: string | undefined): WantedLink {
  return { mtu: spec.mtu === 0 ? undefined : spec.mtu, altName }
}

/** A change of enableDPDK or dpdkDriver is for ENIs attached after it: this card may be in a pod's hands. */
function wantedDriver(
  entry: JournalEntry | undefined,
  ofNodeENI: 'vfio-pci' | 'igb_uio' | 'kernel' | undefined,
): Situation['wanted'] {
  if (entry !== undefined) {
    return isOfUserspace(entry) ? { userspace: entry.wantedDriver } : 'kernel'
  }
  if (ofNodeENI === undefined) return 'unknown'
  return ofNodeENI === 'kernel' ? 'kernel' : { userspace: ofNodeENI }
}

/** Drivers that leave a group to whoever opens it (driver_managed_dma in the kernel). */
const harmlessDrivers: ReadonlySet<string | undefined> = new Set([undefined, 'vfio-pci', 'pci-stub', 'pcieport'])

/** Another card that an ENIAttachment gives to a userspace driver leaves the kernel's, too. */
function foreignMates({ groupMates }: KnownCard, findings: Findings): readonly GroupMate[] {
  const ours = ownUserspaceCards(groupMates, findings)
  return groupMates.filter(({ pciAddress, driver }) => !harmlessDrivers.has(driver) && !ours.includes(pciAddress))
}

/**
 * Who opens a group has all its cards, so of ours in one group one is offered at a time: that which a pod has, else that which
 * is in the list, else the first by address. Returns the one that goes before this card.
 */
function ownMateBefore(
  { pciAddress, groupMates }: KnownCard,
  findings: Findings,
  { occupancy, lists }: Knowledge,
): string | undefined {
  const mates = ownUserspaceCards(groupMates, findings)
  if (mates.length === 0) return undefined
  const listed = new Set(lists.all().map(({ card }) => card.pciAddress))
  const rank = (address: string) => {
    if (occupancy.resourcesHolding(address).length > 0) return 0
    return listed.has(address) ? 1 : 2
  }
  const [first] = [pciAddress, ...mates].toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  return first === pciAddress ? undefined : first
}

/** PCI addresses of those that ENIAttachments give to a userspace driver. */
function ownUserspaceCards(mates: readonly GroupMate[], { demand, matches }: Findings): readonly string[] {
  if (mates.length === 0) return []
  const ours = demand.attachments.map((attachment) => {
    const match = matches.get(attachment.metadata.uid)
    if (match?.kind !== 'found') return undefined
    const nodeENI = demand.nodeENIs.get(attachment.spec.nodeENI)
    const wanted = wantedDriver(match.card.entry, nodeENI && (userspaceDriverOf(nodeENI.spec) ?? 'kernel'))
    return typeof wanted === 'string' ? undefined : match.card.pciAddress
  })
  return mates.map(({ pciAddress }) => pciAddress).filter((address) => ours.includes(address))
}

function driverFor(wanted: Situation['wanted'], { hasDriver, mayDriverCome }: Knowledge): Situation['driver'] {
  if (typeof wanted === 'string' || hasDriver(wanted.userspace)) return 'there'
  return mayDriverCome() ? 'awaited' : 'missing'
}

/** The last address of a vanished card counts only until another card has it. */
function addressOf(
  attachment: ENIAttachment,
  match: Match,
  entry: JournalEntry | undefined,
  matches: ReadonlyMap<string, Match>,
): string | undefined {
  if (match.kind === 'found' || match.kind === 'recovered') return match.card.pciAddress
  const last = entry?.pciAddress ?? attachment.status?.device?.pciAddress
  const isTaken = [...matches.values()].some((other) => other.kind === 'found' && other.card.pciAddress === last)
  return isTaken ? undefined : last
}

function listedFor(
  uid: string,
  resource: string | undefined,
  address: string | undefined,
  { lists, occupancy }: Knowledge,
): Situation['listed'] {
  if (resource === undefined || address === undefined) return 'nobody'
  const device = lists.get(resource, address)
  if (device !== undefined) return device.attachmentUID === uid ? 'ours' : 'another'
  // A pod that had an earlier card here is given whatever is at this address when its container starts again, by its own resource.
  const elsewhere = [
    ...occupancy.resourcesHolding(address),
    ...lists.all().flatMap((listed) => (listed.card.pciAddress === address ? [listed.resource] : [])),
  ]
  return elsewhere.some((other) => other !== resource) ? 'another' : 'nobody'
}

function occupancyOf(key: string | undefined, occupancy: Occupancy): Situation['occupancy'] {
  if (key === undefined) return 'free'
  if (!occupancy.isKnown) return 'unknown'
  if (occupancy.isForgotten(key)) return 'forgotten'
  return occupancy.isFree(key) ? 'free' : 'taken'
}
