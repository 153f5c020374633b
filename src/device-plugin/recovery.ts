// Whose card is one that shows no MAC and of which the journal tells nothing, because it was lost or cannot be read? A wrong answer
// would give one pod the ENI of another, so everything must agree, and else the card is left alone.
// The evidence is the PCI address that an earlier life of this program wrote into the attachment's status. A card keeps its address
// for as long as it is bound; but the address goes to another card when one was plugged anew. So the addresses count only while the
// whole bus is as they say: no ENI that EC2 has attached is missing from its place, no two claim the same one, and no card is left.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import { type KnownCard, type Match, macOf } from './match.ts'
import { isKernelDriver } from './userspace-driver.ts'

export interface RecoveryFacts {
  readonly cards: readonly KnownCard[]
  /** Of this instance. */
  readonly attachments: readonly ENIAttachment[]
  /** By MAC and journal. */
  readonly matches: ReadonlyMap<string, Match>
  /** UIDs of which the journal has an entry, of whatever card. */
  readonly journaled: ReadonlySet<string>
  readonly allowedDevices: ReadonlySet<string>
  /** A card that was looked at, and was found to be of no ENIAttachment. */
  readonly isStranger: (card: KnownCard) => boolean
  /** Resources of which a pod has, or may have, the device at this address. */
  readonly heldAs: (pciAddress: string) => readonly string[]
}

/** Cards that the kernel does not show as anybody's: of the right make, without MAC, without journal entry. */
export function hiddenCards({ cards, allowedDevices, isStranger }: RecoveryFacts): readonly KnownCard[] {
  const unnamed = cards.filter(({ interfaces, entry }) => interfaces.length === 0 && entry === undefined)
  return unnamed.filter((card) => allowedDevices.has(card.deviceID) && !isStranger(card))
}

/** Attachments whose card is not found, and of whose card the journal says nothing either. */
export function openAttachments({ attachments, matches, journaled }: RecoveryFacts): readonly ENIAttachment[] {
  return attachments.filter((attachment) => {
    const { uid } = attachment.metadata
    return macOf(attachment) !== undefined && matches.get(uid)?.kind === 'absent' && !journaled.has(uid)
  })
}

/** The matches that this adds, by UID of the attachment: recovered, or unidentified. */
export function recover(facts: RecoveryFacts): ReadonlyMap<string, Match> {
  const hidden = new Map(hiddenCards(facts).map((card) => [card.pciAddress, card]))
  const seen = openAttachments(facts).filter((attachment) => placeOf(attachment) !== undefined)
  const isAsRecorded = isBusAsRecorded(facts, seen, hidden)
  const found = new Map<string, Match>()
  for (const attachment of seen) {
    const card = hidden.get(placeOf(attachment) ?? '')
    // With the kernel's driver it will show its MAC, at once or when its interface comes back from a pod's namespace.
    if (card === undefined || isKernelDriver(card.driver)) continue
    const isIts = isAsRecorded && card.driver !== undefined && !isContradicted(attachment, card, seen, facts)
    const { pciAddress } = card
    const kernelDriver = kernelDriverOf(card, facts.cards)
    found.set(
      attachment.metadata.uid,
      isIts ? { kind: 'recovered', card, kernelDriver } : { kind: 'unidentified', pciAddress },
    )
  }
  return found
}

/** Where an earlier life of this program saw the card, unless it saw it vanish since. */
function placeOf({ status }: ENIAttachment): string | undefined {
  return status?.device?.failure?.reason === 'CardMissing' ? undefined : status?.device?.pciAddress
}

function isAttached({ status }: ENIAttachment): boolean {
  return status?.eni?.attached === true
}

function isBusAsRecorded(
  { attachments, matches }: RecoveryFacts,
  seen: readonly ENIAttachment[],
  hidden: ReadonlyMap<string, KnownCard>,
): boolean {
  const hasMoved = attachments.some((attachment) => {
    const match = matches.get(attachment.metadata.uid)
    const place = placeOf(attachment)
    return match?.kind === 'found' && place !== undefined && place !== match.card.pciAddress
  })
  const isMissing = seen.some((attachment) => isAttached(attachment) && !hidden.has(placeOf(attachment) ?? ''))
  const places = new Set(seen.map(placeOf))
  const isAnyLeft = [...hidden.values()].some(
    ({ pciAddress, driver }) => !isKernelDriver(driver) && !places.has(pciAddress),
  )
  return !hasMoved && !isMissing && !isAnyLeft
}

function isContradicted(
  attachment: ENIAttachment,
  { pciAddress, driver }: KnownCard,
  seen: readonly ENIAttachment[],
  { heldAs }: RecoveryFacts,
): boolean {
  if (!isAttached(attachment)) return true
  const before = attachment.status?.device?.driver
  if (before !== undefined && before !== driver) return true
  if (seen.some((other) => other !== attachment && placeOf(other) === pciAddress)) return true
  return heldAs(pciAddress).some((resource) => resource !== attachment.spec.resourceName)
}

/** The kernel's driver for this make of card: that of another such card on the node, the primary as a rule; ENA's is known. */
function kernelDriverOf({ deviceID }: KnownCard, cards: readonly KnownCard[]): string | undefined {
  const other = cards.find((card) => card.deviceID === deviceID && isKernelDriver(card.driver))
  return other?.driver ?? (deviceID.startsWith('1d0f:') ? 'ena' : undefined)
}
