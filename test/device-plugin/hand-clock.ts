// A clock that a test turns by hand.
import type { MonotonicClock } from '../../src/device-plugin/monotonic-clock.ts'

export class HandClock implements MonotonicClock {
  now = 0

  readonly monotonic = (): number => this.now
  readonly timestamp = (): string => new Date(this.now).toISOString()
}
