// Time as an edge: whoever waits or stamps gets a clock, so that tests can hold it.

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Milliseconds since some moment; never jumps, whatever is done to the machine's time. */
  monotonic(): number
  /** Calls back after the time, or after 24 days when it is longer; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void
}

/** setTimeout fires at once for anything longer (2^31 - 1 ms). */
const longestMs = 2 ** 31 - 1

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, longestMs))
    return () => clearTimeout(timer)
  },
}

/** Resolves after the time, or as soon as the signal aborts. */
export async function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const wake = () => resolve()
  const cancel = clock.after(ms, wake)
  signal.addEventListener('abort', wake, { once: true })
  await promise
  cancel()
  signal.removeEventListener('abort', wake)
}

/** RFC 3339 with milliseconds. */
export function timestamp(clock: Clock): string {
  return new Date(clock.now()).toISOString()
}
