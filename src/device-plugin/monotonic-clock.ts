// Time as the device plugin needs it: an order of events within this process, and RFC 3339 for the API.

export interface MonotonicClock {
  /** Milliseconds since some moment; never goes back. */
  readonly monotonic: () => number
  /** RFC 3339 with milliseconds. */
  readonly timestamp: () => string
}

/** Counts from the start of the process. */
export const systemClock: MonotonicClock = {
  monotonic: () => performance.now(),
  timestamp: () => new Date().toISOString(),
}
