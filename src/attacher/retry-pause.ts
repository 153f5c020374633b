// The pause after a call that failed: longer each time, with jitter, since what is down is down for many; over at once when EC2
// is known to answer again.
import { type Clock, sleep } from '../process/clock.ts'

const firstMs = 5_000
/** A pause is between 75 % and 125 % of what is said here. */
const jitterFrom = 0.75
const jitterRange = 0.5

export class RetryPause {
  readonly #clock: Clock
  readonly #lastMs: number
  #failures = 0
  #ended = Promise.withResolvers<void>()

  constructor(clock: Clock, lastMs: number) {
    this.#clock = clock
    this.#lastMs = lastMs
  }

  /** Before each try: what ends a pause from now on is news that the try need not have heard. */
  beginTry(): void {
    this.#ended = Promise.withResolvers()
  }

  succeeded(): void {
    this.#failures = 0
  }

  async afterFailure(signal: AbortSignal): Promise<void> {
    const ms = Math.min(firstMs * 2 ** this.#failures++, this.#lastMs) * (jitterFrom + jitterRange * Math.random())
    await Promise.race([sleep(this.#clock, ms, signal), this.#ended.promise])
  }

  end(): void {
    this.#ended.resolve()
  }
}
