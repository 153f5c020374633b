// Work by key: the same key never runs twice at once, waits only once, and backs off by itself after a failure.
import { type Clock, realClock } from '../process/clock.ts'
import type { Log } from '../process/log.ts'

const firstBackoffMs = 250
const lastBackoffMs = 60_000
/** Of thousands that are added at once so many start before timers and sockets, the renewal of a lease among them, have their turn. */
const startsPerTurn = 100

/** Does the work of one key. Returns milliseconds after which it wants to run again, or undefined. */
export type Worker = (key: string, signal: AbortSignal) => Promise<number | undefined>

export class WorkQueue {
  readonly #worker: Worker
  readonly #concurrency: number
  readonly #log: Log
  readonly #clock: Clock
  readonly #spacingMs: number
  readonly #ready = new Set<string>()
  readonly #running = new Set<string>()
  /** Added while they run or rest: ready afterwards. */
  readonly #again = new Set<string>()
  /** Ran so recently that it waits for what else is asked for. */
  readonly #resting = new Set<string>()
  readonly #delayed = new Map<string, () => void>()
  readonly #failures = new Map<string, number>()
  #signal: AbortSignal | undefined
  #startedThisTurn = 0
  #idle = Promise.withResolvers<void>()

  /** A key runs at most once in `spacingMs`: at once, then once for all that was asked for meanwhile. */
  constructor(worker: Worker, concurrency: number, log: Log, clock: Clock = realClock, spacingMs = 0) {
    this.#worker = worker
    this.#concurrency = concurrency
    this.#log = log
    this.#clock = clock
    this.#spacingMs = spacingMs
  }

  /** Runs the key as soon as possible; before the queue is started, it waits. */
  add(key: string): void {
    this.#cancelDelay(key)
    if (this.#running.has(key) || this.#resting.has(key)) this.#again.add(key)
    else this.#ready.add(key)
    this.#pump()
  }

  addAfter(key: string, ms: number): void {
    if (ms <= 0) return this.add(key)
    if (this.#ready.has(key) || this.#again.has(key) || this.#signal?.aborted === true) return
    this.#cancelDelay(key)
    this.#delayed.set(
      key,
      this.#clock.after(ms, () => this.add(key)),
    )
  }

  /** Works until the signal aborts and the last worker has returned. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal
    signal.addEventListener('abort', () => this.#stop(), { once: true })
    if (signal.aborted) this.#stop()
    this.#pump()
    await this.#idle.promise
  }

  #stop(): void {
    for (const cancel of this.#delayed.values()) cancel()
    this.#delayed.clear()
    if (this.#running.size === 0) this.#idle.resolve()
  }

  #pump(): void {
    if (this.#signal === undefined || this.#signal.aborted) return
    for (const key of this.#ready) {
      if (this.#running.size >= this.#concurrency || this.#startedThisTurn >= startsPerTurn) return
      this.#ready.delete(key)
      this.#countStart()
      void this.#work(key, this.#signal)
    }
  }

  #countStart(): void {
    if (this.#startedThisTurn++ > 0) return
    setImmediate(() => {
      this.#startedThisTurn = 0
      this.#pump()
    })
  }

  async #work(key: string, signal: AbortSignal): Promise<void> {
    this.#running.add(key)
    if (this.#spacingMs > 0) this.#rest(key)
    try {
      const againMs = await this.#worker(key, signal)
      this.#failures.delete(key)
      if (againMs !== undefined && !signal.aborted) this.addAfter(key, againMs)
    } catch (error) {
      if (!signal.aborted) this.#backOff(key, error)
    } finally {
      this.#running.delete(key)
      if (signal.aborted && this.#running.size === 0) this.#idle.resolve()
      this.#readyAgain(key)
    }
  }

  #readyAgain(key: string): void {
    if (!this.#running.has(key) && !this.#resting.has(key) && this.#again.delete(key)) this.#ready.add(key)
    this.#pump()
  }

  #rest(key: string): void {
    this.#resting.add(key)
    this.#clock.after(this.#spacingMs, () => {
      this.#resting.delete(key)
      this.#readyAgain(key)
    })
  }

  #backOff(key: string, error: unknown): void {
    const failures = (this.#failures.get(key) ?? 0) + 1
    this.#failures.set(key, failures)
    const ms = Math.min(firstBackoffMs * 2 ** (failures - 1), lastBackoffMs) * jitter(`${key} ${failures}`)
    this.#log.warn({ key, failures, retryMs: ms, err: error }, 'work failed, trying again')
    this.addAfter(key, ms)
  }

  #cancelDelay(key: string): void {
    this.#delayed.get(key)?.()
    this.#delayed.delete(key)
  }
}

/**
 * 0.75 to 1.25: what is down is down for many keys, and they must not all come back at once. Of the key, not of chance, so that a
 * program under a test's clock does the same in every run.
 */
function jitter(text: string): number {
  let hash = 0
  for (const character of text) hash = (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) >>> 0
  return 0.75 + (Math.imul(hash, 0x9e3779b1) >>> 0) / 2 ** 33
}
