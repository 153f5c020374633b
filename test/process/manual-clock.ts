// A clock that stands still until the test moves it on.
import type { Clock } from '../../src/process/clock.ts'

interface Timer {
  readonly due: number
  readonly callback: () => void
}

export class ManualClock implements Clock {
  #now = Date.UTC(2026, 0, 1)
  readonly #timers = new Set<Timer>()
  readonly #waiting: (() => void)[] = []

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { due: this.#now + ms, callback }
    this.#timers.add(timer)
    for (const resolve of this.#waiting.splice(0)) resolve()
    return () => this.#timers.delete(timer)
  }

  /** Milliseconds until each timer, soonest first. */
  get delays(): number[] {
    return [...this.#timers].map(({ due }) => due - this.#now).sort((a, b) => a - b)
  }

  /** Resolves when something waits for this time, now or later. */
  async timerFor(ms: number): Promise<void> {
    while (!this.delays.includes(ms)) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Runs what falls due on the way, in the order of its time. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const [next] = [...this.#timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)
      if (next === undefined) break
      this.#timers.delete(next)
      this.#now = next.due
      next.callback()
    }
    this.#now = end
  }
}
