// Waiting on the simulation's clock, as long as the program that waits is there.

import type { Clock } from '../state/clock.ts'

/** @throws the signal's reason when it is aborted. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const cancel = clock.after(ms, resolve)
  const abort = (): void => {
    cancel()
    reject(signal.reason as Error)
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    await promise
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

export interface Backoff {
  readonly tries: number
  readonly firstMs: number
  /** The pause doubles up to this. */
  readonly mostMs: number
}

/** Tries again until there is a result; undefined when the tries are used up. */
export async function retried<Result>(
  clock: Clock,
  { tries, firstMs, mostMs }: Backoff,
  signal: AbortSignal,
  attempt: () => Promise<Result | undefined>,
): Promise<Result | undefined> {
  let ms = firstMs
  for (let left = tries; left > 0; left--) {
    const result = await attempt()
    if (result !== undefined || left === 1) return result
    await pause(clock, ms, signal)
    ms = Math.min(ms * 2, mostMs)
  }
  return undefined
}
