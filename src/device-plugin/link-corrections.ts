// How soon an interface is set again that another program has changed: at once the first time, then more and more slowly, so
// that two managers of one interface do not fight at full speed.
import type { MonotonicClock } from './monotonic-clock.ts'

const firstPauseMs = 1_000
const lastPauseMs = 60_000
/** Left alone for so long, the other has given in. */
const peaceMs = 5 * 60_000

interface Corrections {
  readonly count: number
  readonly lastAt: number
}

export class LinkCorrections {
  readonly #clock: MonotonicClock
  readonly #made = new Map<string, Corrections>()

  constructor(clock: MonotonicClock) {
    this.#clock = clock
  }

  isDue(attachmentUID: string): boolean {
    const { count, lastAt } = this.#of(attachmentUID)
    if (count === 0) return true
    return this.#clock.monotonic() - lastAt >= Math.min(firstPauseMs * 2 ** (count - 1), lastPauseMs)
  }

  /** Returns whether it is the first one in a row. */
  made(attachmentUID: string): boolean {
    const { count } = this.#of(attachmentUID)
    this.#made.set(attachmentUID, { count: count + 1, lastAt: this.#clock.monotonic() })
    return count === 0
  }

  /** It has been in a pod, or is another one: whoever had it may change it. */
  forget(attachmentUID: string): void {
    this.#made.delete(attachmentUID)
  }

  retain(attachmentUIDs: ReadonlySet<string>): void {
    for (const uid of this.#made.keys()) if (!attachmentUIDs.has(uid)) this.#made.delete(uid)
  }

  #of(attachmentUID: string): Corrections {
    const made = this.#made.get(attachmentUID)
    if (made === undefined) return { count: 0, lastAt: 0 }
    return this.#clock.monotonic() - made.lastAt > peaceMs ? { count: 0, lastAt: 0 } : made
  }
}
