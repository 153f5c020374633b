// Time that passes only when a test says so: hours run in milliseconds, and every run is the same run.
// It is a clock for the project's programs (src/process/clock.ts) and for the simulated EC2 (sim/ec2/state/clock.ts) alike.

import { setImmediate as nextTurn } from 'node:timers/promises'

export interface VirtualClockOptions {
  /** Milliseconds since the epoch. */
  readonly startMs?: number
}

interface Timer {
  readonly due: number
  /** Order of asking, which decides between timers of one instant. */
  readonly sequence: number
  readonly callback: () => void
}

/** One turn lets promises resolve, and what they resolved may need another. An SDK call without a socket was measured to need none. */
const turnsToSettle = 2
/** More rounds of timers than this in one instant is a loop that waits for 0 ms. */
const maximumRoundsPerInstant = 1000

export class VirtualClock {
  readonly #startMs: number
  /** By due time, then sequence. */
  readonly #timers: Timer[] = []
  #now: number
  #sequence = 0
  #holds = 0
  #moving = false

  constructor({ startMs = Date.UTC(2026, 0, 1) }: VirtualClockOptions = {}) {
    this.#startMs = startMs
    this.#now = startMs
  }

  now(): number {
    return this.#now
  }

  /** Milliseconds since the start: another number than `now`, so that whoever mixes the two notices. */
  monotonic(): number {
    return this.#now - this.#startMs
  }

  /** Calls back once; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void {
    const timer = { due: this.#now + Math.max(0, ms), sequence: ++this.#sequence, callback }
    this.#timers.splice(this.#placeOf(timer), 0, timer)
    return () => {
      const place = this.#placeOf(timer)
      if (this.#timers[place] === timer) this.#timers.splice(place, 1)
    }
  }

  /** Time stands still until the returned function is called: for work that real time does, such as reading a socket. */
  hold(): () => void {
    let held = true
    this.#holds++
    return () => {
      if (held) this.#holds--
      held = false
    }
  }

  /** Resolves when whatever the timers started has come to rest and nothing holds the clock. */
  async settle(): Promise<void> {
    do {
      for (let turn = 0; turn < turnsToSettle; turn++) await nextTurn()
    } while (this.#holds > 0)
  }

  /** Runs every timer that falls due on the way, in the order of time, and lets each instant come to rest before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await this.#move(async () => {
      await this.settle()
      for (let next = this.#timers[0]; next !== undefined && next.due <= end; next = this.#timers[0]) {
        await this.#runInstant(next.due)
      }
      this.#now = end
      await this.settle()
    })
  }

  /**
   * Goes from timer to timer until `done`.
   * @throws when no timer is left or the time is up, with the virtual time that passed.
   */
  async until(done: () => boolean, limitMs: number): Promise<void> {
    const start = this.#now
    const end = start + limitMs
    await this.#move(async () => {
      await this.settle()
      while (!done()) {
        const next = this.#timers[0]
        if (next === undefined) throw new Error(`not done after ${this.#now - start} ms: no timer is left to wait for`)
        if (next.due > end) {
          this.#now = end
          throw new Error(`not done after ${limitMs} ms: ${this.#timers.length} timers are left`)
        }
        await this.#runInstant(next.due)
      }
    })
  }

  /** The timers of an instant run together; those that they ask for in the same instant run after all has come to rest. */
  async #runInstant(instant: number): Promise<void> {
    this.#now = instant
    for (let round = 1; this.#timers[0]?.due === instant; round++) {
      if (round > maximumRoundsPerInstant) throw new Error(`timers of 0 ms without end at ${this.monotonic()} ms`)
      const last = this.#sequence
      for (let timer = this.#timers[0]; isOf(timer, instant, last); timer = this.#timers[0]) {
        this.#timers.shift()
        timer.callback()
      }
      await this.settle()
    }
  }

  async #move(moving: () => Promise<void>): Promise<void> {
    if (this.#moving) throw new Error('the clock is being moved already')
    this.#moving = true
    try {
      await moving()
    } finally {
      this.#moving = false
    }
  }

  /** Where the timer is, or where it belongs. */
  #placeOf({ due, sequence }: Timer): number {
    let low = 0
    let high = this.#timers.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#timers[middle]
      if (other !== undefined && (other.due < due || (other.due === due && other.sequence < sequence))) low = middle + 1
      else high = middle
    }
    return low
  }
}

function isOf(timer: Timer | undefined, instant: number, lastSequence: number): timer is Timer {
  return timer?.due === instant && timer.sequence <= lastSequence
}
