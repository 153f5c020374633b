// What EC2 does not show. One answer without a thing proves nothing: describes lag behind, and answers go wrong. It is gone when
// EC2 has not shown it for longer than EC2 may be behind.
import type { Clock } from '../process/clock.ts'
import { consistencyMs } from './ec2.ts'

/** Whoever has not acted on an absence in so long begins anew. */
const forgottenMs = 60 * 60_000

export class Absences {
  readonly #clock: Clock
  /** By id, in the order of time. */
  readonly #sinceMs = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** To be told each answer of EC2 about it. */
  isGone(id: string, shown: object | undefined): boolean {
    if (shown !== undefined) {
      this.#sinceMs.delete(id)
      return false
    }
    const now = this.#clock.monotonic()
    for (const [old, since] of this.#sinceMs) {
      if (now - since < forgottenMs) break
      this.#sinceMs.delete(old)
    }
    const since = this.#sinceMs.get(id)
    if (since === undefined) this.#sinceMs.set(id, now)
    return since !== undefined && now - since >= consistencyMs
  }
}
