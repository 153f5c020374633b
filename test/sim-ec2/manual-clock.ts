// A clock for tests of the simulated EC2: time stands still until the test moves it on.

import type { Clock } from '../../sim/ec2/state/clock.ts'

interface Timer {
  readonly due: number
  readonly run: () => void
}

export class ManualClock implements Clock {
  #now = Date.UTC(2026, 0, 1)
  #timers: Timer[] = []
  #awaited: (() => void)[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, then: () => void): () => void {
    const timer = { due: this.#now + ms, run: then }
    this.#timers.push(timer)
    for (const resolve of this.#awaited.splice(0)) resolve()
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Resolves when something next waits for this clock. */
  async nextTimer(): Promise<void> {
    await new Promise<void>((resolve) => this.#awaited.push(resolve))
  }

  /** Runs what falls due on the way, in the order of its time. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const next = this.#timers.filter(({ due }) => due <= end).toSorted((a, b) => a.due - b.due)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#now = next.due
      next.run()
    }
    this.#now = end
  }
}
