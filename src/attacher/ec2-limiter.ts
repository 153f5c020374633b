// When a call to EC2 may be made: EC2 meters each action by a token bucket for the whole account and region, and so do we, with a
// share of each bucket left to all others (VPC CNI on every node, other clusters, Terraform). Who waits is served by urgency.
import type { Clock } from '../process/clock.ts'
import type { Ec2Action } from './ec2-action.ts'

/** In order: pods wait for the first; nobody waits for the last. */
export const urgencies = ['pods', 'ahead', 'release', 'upkeep', 'collection'] as const
export type Urgency = (typeof urgencies)[number]

export interface BucketSize {
  readonly tokens: number
  readonly perSecond: number
}

export interface Ec2LimiterOptions {
  readonly clock: Clock
  /** Of each bucket, 0 to 1: what we use of it at most. */
  readonly share: number
  /** Where the account's quotas differ from EC2's defaults (Service Quotas: bucket size and refill rate of an action). */
  readonly quotas: ReadonlyMap<Ec2Action, BucketSize>
  /** Calls at the same time. */
  readonly concurrency: number
}

/** EC2's defaults (EC2 developer guide, "Request throttling for the Amazon EC2 API"). Our describes have filters and pages. */
const defaultQuotas: Partial<Record<Ec2Action, BucketSize>> = {
  CreateNetworkInterface: { tokens: 100, perSecond: 5 },
  DeleteNetworkInterface: { tokens: 100, perSecond: 5 },
  ModifyNetworkInterfaceAttribute: { tokens: 100, perSecond: 5 },
  // Not listed by name: "mutating actions".
  AttachNetworkInterface: { tokens: 50, perSecond: 5 },
  DetachNetworkInterface: { tokens: 50, perSecond: 5 },
  CreateTags: { tokens: 100, perSecond: 10 },
}
const describeQuota: BucketSize = { tokens: 100, perSecond: 20 }

/** A refusal halves our rate when there was another one less than this ago; after so long without, it is back at its full height. */
const recoveryMs = 10_000
const leastRate = 1 / 16

interface Waiter {
  readonly resolve: () => void
}

interface Lane {
  readonly size: BucketSize
  readonly waiting: Readonly<Record<Urgency, Set<Waiter>>>
  tokens: number
  filledAtMs: number
  /** Of the full refill rate, when it was last refused. (At 1 a refusal before that was long ago.) */
  rateThen: number
  refusedAtMs: number
}

export class Ec2Limiter {
  readonly #options: Ec2LimiterOptions
  readonly #lanes = new Map<Ec2Action, Lane>()
  #inFlight = 0
  #cancelTimer: () => void = () => undefined

  constructor(options: Ec2LimiterOptions) {
    this.#options = options
  }

  /**
   * Makes the call when its turn has come. @throws what the call throws, or the signal's reason while it waits: whoever has lost
   * the lead must not call EC2 minutes later.
   */
  async run<T>(action: Ec2Action, urgency: Urgency, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    await this.#turn(this.#lane(action), urgency, signal)
    try {
      return await call()
    } finally {
      this.#inFlight--
      this.#pump()
    }
  }

  /** EC2 has refused a call of this action: its bucket is empty, whatever we thought. */
  refused(action: Ec2Action): void {
    const lane = this.#lane(action)
    this.#fill(lane)
    lane.tokens = Math.min(lane.tokens, 0)
    const now = this.#options.clock.monotonic()
    // One alone may be a call that came a little early.
    if (now - lane.refusedAtMs < recoveryMs) lane.rateThen = Math.max(this.#rate(lane) / 2, leastRate)
    else lane.rateThen = 1
    lane.refusedAtMs = now
    this.#pump()
  }

  async #turn(lane: Lane, urgency: Urgency, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter = { resolve }
    const abort = () => lane.waiting[urgency].delete(waiter) && reject(signal.reason)
    lane.waiting[urgency].add(waiter)
    signal.addEventListener('abort', abort, { once: true })
    this.#pump()
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  #pump(): void {
    this.#cancelTimer()
    for (const lane of this.#lanes.values()) this.#fill(lane)
    for (const urgency of urgencies) {
      for (const lane of this.#lanes.values()) this.#serve(lane, urgency)
    }
    if (this.#inFlight >= this.#options.concurrency) return
    const waits = [...this.#lanes.values()].flatMap((lane) => this.#msToNextToken(lane) ?? [])
    if (waits.length > 0) this.#cancelTimer = this.#options.clock.after(Math.min(...waits), () => this.#pump())
  }

  #serve(lane: Lane, urgency: Urgency): void {
    for (const waiter of lane.waiting[urgency]) {
      if (lane.tokens < 1 || this.#inFlight >= this.#options.concurrency) return
      lane.waiting[urgency].delete(waiter)
      lane.tokens--
      this.#inFlight++
      waiter.resolve()
    }
  }

  #msToNextToken(lane: Lane): number | undefined {
    if (urgencies.every((urgency) => lane.waiting[urgency].size === 0)) return undefined
    const perMs = (lane.size.perSecond * this.#rate(lane)) / 1000
    return Math.max(1, Math.ceil((1 - lane.tokens) / perMs))
  }

  #fill(lane: Lane): void {
    const now = this.#options.clock.monotonic()
    const seconds = (now - lane.filledAtMs) / 1000
    lane.tokens = Math.min(lane.size.tokens, lane.tokens + seconds * lane.size.perSecond * this.#rate(lane))
    lane.filledAtMs = now
  }

  /** Of the full refill rate, now. */
  #rate({ rateThen, refusedAtMs }: Lane): number {
    const sinceMs = this.#options.clock.monotonic() - refusedAtMs
    return Math.min(1, rateThen + (1 - rateThen) * (sinceMs / recoveryMs))
  }

  #lane(action: Ec2Action): Lane {
    const known = this.#lanes.get(action)
    if (known !== undefined) return known
    const { clock, share, quotas } = this.#options
    const quota = quotas.get(action) ?? defaultQuotas[action] ?? describeQuota
    // Less than one token would never let a call through.
    const size = { tokens: Math.max(1, quota.tokens * share), perSecond: quota.perSecond * share }
    const waiting = {
      pods: new Set<Waiter>(),
      ahead: new Set<Waiter>(),
      release: new Set<Waiter>(),
      upkeep: new Set<Waiter>(),
      collection: new Set<Waiter>(),
    }
    const lane = {
      size,
      waiting,
      tokens: size.tokens,
      filledAtMs: clock.monotonic(),
      rateThen: 1,
      refusedAtMs: -recoveryMs,
    }
    this.#lanes.set(action, lane)
    return lane
  }
}
