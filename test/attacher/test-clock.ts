// Time for the attacher's tests: runs with real time, so that short retries need no help, and jumps ahead when told, so that
// nobody waits for minutes.
import type { Clock } from '../../src/process/clock.ts'

interface Timer {
  readonly due: number
  readonly callback: () => void
  handle: NodeJS.Timeout | undefined
}

export class TestClock implements Clock {
  readonly #timers = new Set<Timer>()
  #aheadMs = 0
  #onTimer: (() => void) | undefined

  now(): number {
    return Date.now() + this.#aheadMs
  }

  monotonic(): number {
    return this.now()
  }

  after(ms: number, callback: () => void): () => void {
    const timer: Timer = { due: this.now() + ms, callback, handle: undefined }
    this.#timers.add(timer)
    this.#arm(timer)
    this.#onTimer?.()
    return () => this.#drop(timer)
  }

  /** What falls due on the way runs at once, in the order of its time. */
  jump(ms: number): void {
    this.#aheadMs += ms
    const inOrder = [...this.#timers].sort((a, b) => a.due - b.due)
    for (const timer of inOrder) {
      if (timer.due <= this.now()) this.#fire(timer)
      else this.#arm(timer)
    }
  }

  /** Jumps, and jumps again whenever somebody waits once more, until `done` settles. */
  async jumpUntil<T>(ms: number, done: Promise<T>): Promise<T> {
    this.#onTimer = () => setImmediate(() => this.#onTimer && this.jump(ms))
    this.jump(ms)
    try {
      return await done
    } finally {
      this.#onTimer = undefined
    }
  }

  #arm(timer: Timer): void {
    clearTimeout(timer.handle)
    timer.handle = setTimeout(() => this.#fire(timer), timer.due - this.now())
  }

  #fire(timer: Timer): void {
    if (!this.#timers.has(timer)) return
    this.#drop(timer)
    timer.callback()
  }

  #drop(timer: Timer): void {
    clearTimeout(timer.handle)
    this.#timers.delete(timer)
  }
}
