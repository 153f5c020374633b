// Keeps List and Allocate apart: while the kubelet is busy with an Allocate of ours, a List of ours could make it forget
// that the device is taken (see occupancy.ts).
import { setTimeout as delay } from 'node:timers/promises'

import type { MonotonicClock } from './monotonic-clock.ts'

/** The kubelet records a device only some time after our answer; a real one needed less than 10 ms. */
const quietMs = 50

export class AllocateGate {
  readonly #clock: MonotonicClock
  readonly #quietMs: number
  #open = 0
  #closedAt = Number.NEGATIVE_INFINITY

  constructor(clock: MonotonicClock, quiet = quietMs) {
    this.#clock = clock
    this.#quietMs = quiet
  }

  /** An Allocate has not been answered yet. */
  get isOpen(): boolean {
    return this.#open > 0
  }

  async during<T>(answer: () => Promise<T>): Promise<T> {
    this.#open++
    try {
      return await answer()
    } finally {
      this.#open--
      this.#closedAt = this.#clock.monotonic()
    }
  }

  /** Resolves when no Allocate is open and the last answer is old enough to have been recorded. */
  async quiet(signal: AbortSignal): Promise<void> {
    for (;;) {
      const waitMs = this.#open > 0 ? this.#quietMs : this.#closedAt + this.#quietMs - this.#clock.monotonic()
      if (waitMs <= 0) return
      await delay(waitMs, undefined, { signal })
    }
  }
}
