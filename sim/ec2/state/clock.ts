// The only door through which the simulated EC2 sees time, so that tests decide when it passes.

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls `then` once, `ms` from now; the returned function cancels it. */
  after(ms: number, then: () => void): () => void
}
