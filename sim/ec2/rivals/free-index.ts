// The device index that a console or a simple controller takes: the lowest that is free on the card.

import type { Ec2State } from '../state/ec2-state.ts'

/** May lie beyond the card's limit; EC2 then refuses the attach. */
export function lowestFreeIndex(state: Ec2State, instanceId: string, networkCard: number): number {
  const taken = new Set(
    state
      .enisOn(instanceId)
      .flatMap(({ attachment }) => (attachment?.networkCard === networkCard ? [attachment.deviceIndex] : [])),
  )
  let index = 0
  while (taken.has(index)) index++
  return index
}
