// One shared DescribeNetworkInterfaces for all who wait for an ENI to change: EC2 sends no events for that.
import { type Clock, sleep } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { Ec2, Eni } from './ec2.ts'

/** Filtered describes are allowed 20 a second; attaches take 1 to 4 s, so this costs little and adds little. */
const fastMs = 250
const slowMs = 2_000
/** After so many failed looks in a row whoever waits is told, and comes back by himself. */
const failuresMax = 4
/** Somebody who waits for longer than this is slow anyway. */
const fastForMs = 15_000

interface Waiter {
  readonly eniID: string
  readonly done: (eni: Eni | undefined) => boolean
  readonly resolve: (eni: Eni | undefined) => void
  readonly reject: (error: unknown) => void
  readonly sinceMs: number
}

export class EniWatch {
  readonly #ec2: Ec2
  readonly #clock: Clock
  readonly #log: Log
  readonly #waiters = new Set<Waiter>()
  #wake = Promise.withResolvers<void>()
  #failures = 0

  constructor(ec2: Ec2, clock: Clock, log: Log) {
    this.#ec2 = ec2
    this.#clock = clock
    this.#log = log
  }

  /** Resolves with the ENI (undefined: EC2 does not know it) once `done` says so. @throws Ec2Error, or the signal's reason. */
  async until(eniID: string, done: (eni: Eni | undefined) => boolean, signal: AbortSignal): Promise<Eni | undefined> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<Eni | undefined>()
    const waiter = { eniID, done, resolve, reject, sinceMs: this.#clock.monotonic() }
    const abort = () => reject(signal.reason)
    this.#waiters.add(waiter)
    this.#wake.resolve()
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await promise
    } finally {
      this.#waiters.delete(waiter)
      signal.removeEventListener('abort', abort)
    }
  }

  /** Describes while somebody waits, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake.resolve(), { once: true })
    while (!signal.aborted) {
      if (this.#waiters.size === 0) {
        this.#wake = Promise.withResolvers()
        await this.#wake.promise
        continue
      }
      const failures = await this.#look(signal)
      // Never faster, however many come: nothing attaches in less.
      await sleep(this.#clock, fastMs * 2 ** Math.min(failures, failuresMax), signal)
      const newest = Math.max(...[...this.#waiters].map(({ sinceMs }) => sinceMs))
      if (failures > 0 || this.#clock.monotonic() - newest < fastForMs) continue
      this.#wake = Promise.withResolvers()
      await Promise.race([sleep(this.#clock, slowMs - fastMs, signal), this.#wake.promise])
    }
  }

  /** @returns how many looks in a row have failed. */
  async #look(signal: AbortSignal): Promise<number> {
    const asked = [...this.#waiters]
    try {
      const enis = await this.#ec2.describeEnis([...new Set(asked.map(({ eniID }) => eniID))])
      const byID = new Map(enis.map((eni) => [eni.id, eni]))
      for (const waiter of asked) {
        const eni = byID.get(waiter.eniID)
        if (waiter.done(eni)) waiter.resolve(eni)
      }
      this.#failures = 0
    } catch (error) {
      if (!signal.aborted) this.#log.warn({ waiting: asked.length, err: error }, 'describing ENIs failed, trying again')
      this.#failures++
      if (this.#failures >= failuresMax) for (const { reject } of asked) reject(error)
    }
    return this.#failures
  }
}
