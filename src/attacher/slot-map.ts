// Which network card and device index a new ENI gets. Pure; the caller says what is taken.
import type { InstanceType } from './ec2.ts'

export interface Slot {
  readonly networkCard: number
  readonly deviceIndex: number
}

type Card = InstanceType['cards'][number]

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
  const indexes = Array.from({ length: card.maxInterfaces - 1 }, (_, i) => i + 1)
  return indexes.filter((deviceIndex) => !used.has(deviceIndex))
}

/** A slot may be told of twice: by EC2, and by an attach that it has just refused. */
function usedIndexes({ index }: Card, taken: readonly Slot[]): ReadonlySet<number> {
  return new Set(taken.filter(({ networkCard }) => networkCard === index).map(({ deviceIndex }) => deviceIndex))
}
