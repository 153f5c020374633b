// Which network card and device index a new ENI gets. Pure; the caller says what is taken.
import type { InstanceType } from './ec2.ts'

export interface Slot {
  readonly networkCard: number
  readonly deviceIndex: number
}

/**
 * The lowest free index from `firstIndex` up, else the lowest free one below it; card 0 first. An index stays below the card's
 * own maximum: EKS's resource controller indexes an array of that length by it (amazon-vpc-resource-controller-k8s, instance.go).
 * Index 0 is the primary interface's on card 0, and efa-only's on the others.
 */
export function chooseSlot(cards: InstanceType['cards'], taken: readonly Slot[], firstIndex: number): Slot | undefined {
  for (const { index: networkCard, maxInterfaces } of cards) {
    const onCard = taken.filter((slot) => slot.networkCard === networkCard)
    if (onCard.length >= maxInterfaces) continue
    const used = new Set(onCard.map(({ deviceIndex }) => deviceIndex))
    const indexes = Array.from({ length: maxInterfaces - 1 }, (_, i) => i + 1)
    const free = indexes.filter((deviceIndex) => !used.has(deviceIndex))
    const deviceIndex = free.find((index) => index >= firstIndex) ?? free[0]
    if (deviceIndex !== undefined) return { networkCard, deviceIndex }
  }
  return undefined
}
