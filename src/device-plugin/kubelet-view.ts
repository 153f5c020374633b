// What the kubelet says of its devices, asked when somebody waits for it and once a second otherwise.
import type { Log } from '../process/log.ts'
import type { AllocateGate } from './allocate-gate.ts'
import type { MonotonicClock } from './monotonic-clock.ts'
import type { Occupancy } from './occupancy.ts'
import { type PodResources, RateLimited } from './pod-resources.ts'

/** One look at the kubelet. */
export interface KubeletView {
  /** Monotonic milliseconds just before the calls. */
  readonly startedAt: number
  /** Device keys that the kubelet can give to a pod or has given. */
  readonly allocatable: ReadonlySet<string>
}

/** PodResources takes 100 calls a second from all its clients together (pkg/kubelet/apis/podresources/constants.go). */
const firstPaceMs = 4
const lastPaceMs = 1_000
/** For so long without any answer the limit is no matter of a moment. */
const limitedForMs = 10_000

export interface KubeletWatchOptions {
  readonly podResources: PodResources
  readonly gate: AllocateGate
  readonly occupancy: Occupancy
  readonly clock: MonotonicClock
  readonly log: Log
  /** After each look. */
  readonly onLook: () => void
}

export class KubeletWatch {
  readonly #options: KubeletWatchOptions
  #view: KubeletView | undefined
  #looking = false
  #failing = false
  #limitedSince: number | undefined
  #awaited = ''
  #paceMs = lastPaceMs
  /** Looks that began before the last forget() count no more. */
  #life = Symbol('kubelet process')
  #nextLookAt = Number.NEGATIVE_INFINITY

  constructor(options: KubeletWatchOptions) {
    this.#options = options
  }

  /** The newest look; undefined while the kubelet does not answer. */
  get view(): KubeletView | undefined {
    return this.#view
  }

  /** What was true of the last kubelet need not be true of the next. */
  forget(): void {
    this.#options.occupancy.doubt(this.#options.clock.monotonic())
    this.#life = Symbol('kubelet process')
    this.#view = undefined
    this.#nextLookAt = Number.NEGATIVE_INFINITY
  }

  /**
   * Looks when it is time. `awaited` names all that waits for the kubelet now: when it changes, the pace starts again from
   * the fastest. Returns milliseconds until the next look is due.
   */
  keepLooking(awaited: string, signal: AbortSignal): number {
    const now = this.#options.clock.monotonic()
    if (awaited !== this.#awaited) {
      this.#awaited = awaited
      this.#paceMs = awaited === '' ? lastPaceMs : firstPaceMs
      if (awaited !== '') this.#nextLookAt = now
    }
    if (this.#looking) return lastPaceMs
    if (now < this.#nextLookAt) return this.#nextLookAt - now
    this.#nextLookAt = now + this.#paceMs
    this.#paceMs = Math.min(this.#paceMs * 2, lastPaceMs)
    this.#looking = true
    void this.#look(signal)
    return lastPaceMs
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { podResources, gate, occupancy, clock, log, onLook } = this.#options
    const life = this.#life
    try {
      await gate.quiet(signal)
      const startedAt = clock.monotonic()
      const [listed, allocatable] = await Promise.all([podResources.holders(), podResources.allocatable()])
      if (life !== this.#life) return
      occupancy.observe({ startedAt, ...listed })
      this.#view = { startedAt, allocatable }
      if (this.#failing) log.info('kubelet answers again')
      this.#failing = false
      this.#limitedSince = undefined
    } catch (error) {
      // Other clients of the kubelet were faster: what we saw last is not wrong for that.
      if (signal.aborted) return
      if (error instanceof RateLimited) return this.#tellLimited(error)
      this.#view = undefined
      // Whoever answers next may be another process.
      occupancy.doubt(clock.monotonic())
      if (!this.#failing) log.warn({ err: error }, 'kubelet does not say who has which device, trying again')
      this.#failing = true
    } finally {
      this.#looking = false
      onLook()
    }
  }

  #tellLimited(error: RateLimited): void {
    const { clock, log } = this.#options
    this.#limitedSince ??= clock.monotonic()
    if (this.#failing || clock.monotonic() - this.#limitedSince < limitedForMs) return
    this.#failing = true
    log.warn(
      { err: error },
      'other clients of the kubelet use up its limit of calls, nothing can be acknowledged meanwhile',
    )
  }
}
