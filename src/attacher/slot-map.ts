// Which network card and device index a new ENI gets. Pure; the caller says what is taken.
import type { InstanceType } from './ec2.ts'

export interface Slot {
  readonly networkCard: number
  readonly deviceIndex: number
}

/** Every instance has an interface there. */
export const primarySlot: Slot = { networkCard: 0, deviceIndex: 0 }

type Card = InstanceType['cards'][number]

/** What of each instance is not for our ENIs, and where they go first. */
export interface SlotPolicy {
  /** Slots on network card 0 that stay free for VPC CNI, besides the primary interface's; it manages no other card. */
  readonly cniSlots: number
  /** EBS volumes, the root volume included, for which there stays room in a budget that ENIs and volumes share. */
  readonly volumes: number
  /** JustInTime ENIs on an instance with several network cards: those above 0 first, or card 0 first. */
  readonly jitCards: 'above-zero-first' | 'zero-first'
}

/** The cards with as many interfaces as they have beside those that VPC CNI has not taken yet and may take. */
export function cardsBesideCni(cards: readonly Card[], foreign: readonly Slot[], { cniSlots }: SlotPolicy): Card[] {
  const others = foreign.filter(({ networkCard, deviceIndex }) => networkCard === 0 && deviceIndex !== 0).length
  const kept = Math.max(0, cniSlots - others)
  return cards.map((card) => (card.index === 0 ? { ...card, maxInterfaces: card.maxInterfaces - kept } : card))
}

/**
 * The lowest free index from `firstIndex` up, else the lowest free one below it; card 0 first. An index stays below the card's
 * own maximum: EKS's resource controller indexes an array of that length by it (amazon-vpc-resource-controller-k8s, instance.go).
 * Index 0 is the primary interface's on card 0, and efa-only's on the others.
 */
export function chooseSlot(cards: readonly Card[], taken: readonly Slot[], firstIndex: number): Slot | undefined {
  for (const card of cards) {
    if (roomOn(card, taken) === 0) continue
    const free = freeIndexes(card, taken)
    const deviceIndex = free.find((index) => index >= firstIndex) ?? free[0]
    if (deviceIndex !== undefined) return { networkCard: card.index, deviceIndex }
  }
  return undefined
}

/** How many times `chooseSlot` can still choose this card. */
export function roomOn(card: Card, taken: readonly Slot[]): number {
  return Math.max(0, Math.min(card.maxInterfaces - usedIndexes(card, taken).size, freeIndexes(card, taken).length))
}

function freeIndexes(card: Card, taken: readonly Slot[]): number[] {
  const used = usedIndexes(card, taken)
  const indexes = Array.from({ length: Math.max(0, card.maxInterfaces - 1) }, (_, i) => i + 1)
  return indexes.filter((deviceIndex) => !used.has(deviceIndex))
}

/** A slot may be told of twice: by EC2, and by an attach that it has just refused. */
function usedIndexes({ index }: Card, taken: readonly Slot[]): ReadonlySet<number> {
  return new Set(taken.filter(({ networkCard }) => networkCard === index).map(({ deviceIndex }) => deviceIndex))
}
