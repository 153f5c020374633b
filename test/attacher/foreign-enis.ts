// ENIs that were there before us, or that others make, as their owners have left them: nobody else may change them.
import { isDeepStrictEqual } from 'node:util'

import type { Ec2State } from '../../sim/ec2/state/ec2-state.ts'
import type { NetworkInterface } from '../../sim/ec2/state/network-interface.ts'

export class ForeignEnis {
  readonly #state: Ec2State
  readonly #left = new Map<string, ReturnType<typeof asItIs>>()

  constructor(state: Ec2State) {
    this.#state = state
    for (const { eniId } of state.enis()) this.leave(eniId)
  }

  /** In the order in which they came. */
  get ids(): readonly string[] {
    return [...this.#left.keys()]
  }

  /** Its owner has made or changed it: from now on it stays as it is. */
  leave(eniId: string): void {
    this.#left.set(eniId, asItIs(this.#state.eni(eniId)))
  }

  /** Its owner has deleted it. */
  forget(eniId: string): void {
    this.#left.delete(eniId)
  }

  /** What others did to them. */
  harmed(): string[] {
    return [...this.#left].flatMap(([eniId, left]) => {
      const eni = this.#state.findEni(eniId)
      const isOver = left.attachment !== undefined && this.#hasEnded(left.attachment.instanceId)
      // What becomes of it when its instance ends is EC2's to say.
      if (eni === undefined)
        return isOver && left.attachment?.deleteOnTermination ? [] : [`${eniId} of others has gone`]
      const is = asItIs(eni)
      const changed = (Object.keys(is) as (keyof typeof is)[])
        .filter((field) => !isDeepStrictEqual(is[field], left[field]))
        .filter((field) => field !== 'attachment' || !isOver)
      return changed.length === 0 ? [] : [`${eniId} of others has another ${changed.join(', ')}`]
    })
  }

  #hasEnded(instanceID: string): boolean {
    const instance = this.#state.instances().find(({ instanceId }) => instanceId === instanceID)
    return instance === undefined || instance.state === 'shutting-down' || instance.state === 'terminated'
  }
}

/** All that is its owner's to change. */
function asItIs({ attachment, description, groupIds, sourceDestCheck, tags }: NetworkInterface) {
  if (attachment === undefined) return { attachment, description, groupIds, sourceDestCheck, tags: new Map(tags) }
  // It comes to be attached by itself.
  const { status, stuck: _, ...place } = attachment
  const isLeaving = status === 'detaching'
  return { attachment: { ...place, isLeaving }, description, groupIds, sourceDestCheck, tags: new Map(tags) }
}
