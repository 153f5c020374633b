// May this interface be attached there? The rules of the instance type: cards, slots, device indexes and the budget that
// interfaces share with EBS volumes on many types.

import type { Instance } from './instance.ts'
import type { NetworkInterface } from './network-interface.ts'
import { refusals } from './refusals.ts'

export interface Slot {
  readonly networkCard: number
  readonly deviceIndex: number
}

/** Throws EC2's refusal when the slot does not exist or is not free. `attached` are the instance's interfaces now. */
export function checkSlot(instance: Instance, attached: Iterable<NetworkInterface>, slot: Slot): void {
  const { instanceId, instanceType, limits } = instance
  const limit = limits.cards[slot.networkCard]
  if (limit === undefined) throw refusals.noSuchCard(slot.networkCard, instanceType)

  // A detaching interface still fills its slot.
  const taken = [...attached].flatMap((eni) =>
    eni.attachment?.networkCard === slot.networkCard ? [eni.attachment] : [],
  )
  if (taken.length >= limit) throw refusals.attachmentLimit(taken.length + 1, instanceType)
  if (slot.deviceIndex < 0 || slot.deviceIndex >= limit) throw refusals.indexOutOfRange(slot.deviceIndex, limit)
  if (taken.some((other) => other.deviceIndex === slot.deviceIndex))
    throw refusals.indexTaken(instanceId, slot.deviceIndex)
}

/** MaximumEbsAttachments leaves room for the primary interface, so only the others draw on it (EC2 user guide, volume limits). */
export function isOverSharedBudget(instance: Instance, interfaceCount: number): boolean {
  const { attachmentLimitType, maximumEbsAttachments } = instance.limits
  if (attachmentLimitType === 'dedicated') return false
  return instance.ebsVolumes + interfaceCount - 1 > maximumEbsAttachments
}
