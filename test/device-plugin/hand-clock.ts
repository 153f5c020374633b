// A clock that a test turns by hand.
import type { MonotonicClock } from '../../src/device-plugin/monotonic-clock.ts'

export class HandClock implements MonotonicClock {
  now = 0
  /** Somebody wants to know the time. */
  onAsk: () => void = () => {}

  readonly monotonic = (): number => {
    this.onAsk()
    return this.now
  }
  readonly timestamp = (): string => new Date(this.now).toISOString()
}
