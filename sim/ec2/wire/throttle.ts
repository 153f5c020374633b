// Token buckets, one for each action and shared by all callers of the account (EC2 developer guide, "Request throttling").
// Each call takes a token; one that finds none is refused and takes nothing. Off unless set.

import type { Clock } from '../state/clock.ts'
import { refusals } from '../state/refusals.ts'

import type { ActionName } from './actions.ts'
import type { Parameter } from './parameter.ts'

export interface BucketLimits {
  /** Tokens of a full bucket: how many calls may come at once. */
  readonly bucket: number
  readonly refillPerSecond: number
}

export interface Throttling {
  /** Factor on all default limits: 1 is EC2's default, 10 a raised quota, 0.1 an account with many other users. */
  readonly scale: number
  /** Limits of single buckets, as they are. */
  readonly overrides?: Readonly<Partial<Record<BucketName, BucketLimits>>>
}

/** Some actions have a second, smaller bucket for calls without filter and page. */
const withUnfilteredBucket = ['DescribeInstances', 'DescribeNetworkInterfaces', 'DescribeSecurityGroups'] as const
type WithUnfilteredBucket = (typeof withUnfilteredBucket)[number]

export type BucketName = ActionName | `${WithUnfilteredBucket} unfiltered`

const mutating = { bucket: 50, refillPerSecond: 5 }
const mutatingMore = { bucket: 100, refillPerSecond: 5 }
const tagging = { bucket: 100, refillPerSecond: 10 }
const describing = { bucket: 100, refillPerSecond: 20 }
const unfiltered = { bucket: 50, refillPerSecond: 10 }

/** The actions that the guide lists by name, of those that are modelled; the others go by their category. */
const defaultLimits: Readonly<Partial<Record<BucketName, BucketLimits>>> = {
  CreateNetworkInterface: mutatingMore,
  DeleteNetworkInterface: mutatingMore,
  ModifyNetworkInterfaceAttribute: mutatingMore,
  CreateTags: tagging,
  DeleteTags: tagging,
}

export class Throttle {
  readonly #clock: Clock
  #throttling: Throttling | undefined
  #buckets = new Map<BucketName, TokenBucket>()

  constructor(clock: Clock, throttling: Throttling | undefined) {
    this.#clock = clock
    this.#throttling = throttling
  }

  /** All buckets are full afterwards. */
  set(throttling: Throttling | undefined): void {
    this.#throttling = throttling
    this.#buckets = new Map()
  }

  /** Throws RequestLimitExceeded when the call's bucket has no token. */
  charge(action: ActionName, parameters: Parameter): void {
    if (this.#throttling === undefined) return
    if (!this.#bucket(bucketOf(action, parameters), this.#throttling).take()) throw refusals.throttled()
  }

  /** Other users of the account take tokens, as many as there are. */
  drain(bucketName: BucketName, tokens: number): void {
    if (this.#throttling === undefined) throw new Error(`no tokens to take of ${bucketName}: throttling is off`)
    this.#bucket(bucketName, this.#throttling).drain(tokens)
  }

  #bucket(name: BucketName, { scale, overrides = {} }: Throttling): TokenBucket {
    const known = this.#buckets.get(name)
    if (known !== undefined) return known
    const { bucket, refillPerSecond } = limitsOf(name)
    const scaled = { bucket: Math.max(1, bucket * scale), refillPerSecond: refillPerSecond * scale }
    const made = new TokenBucket(overrides[name] ?? scaled, this.#clock)
    this.#buckets.set(name, made)
    return made
  }
}

/** Ids are neither filter nor page. */
function bucketOf(action: ActionName, parameters: Parameter): BucketName {
  const isNarrowed = ['Filter', 'MaxResults', 'NextToken'].some((name) => parameters.at(name).sent)
  const other = withUnfilteredBucket.find((name) => name === action)
  return isNarrowed || other === undefined ? action : `${other} unfiltered`
}

function limitsOf(bucketName: BucketName): BucketLimits {
  if (bucketName.endsWith(' unfiltered')) return unfiltered
  return defaultLimits[bucketName] ?? (bucketName.startsWith('Describe') ? describing : mutating)
}

/** Refills evenly. Counts thousandths of tokens, so that whole milliseconds at whole rates add up exactly. */
class TokenBucket {
  readonly #full: number
  readonly #refillPerMs: number
  readonly #clock: Clock
  #thousandths: number
  #at: number

  constructor({ bucket, refillPerSecond }: BucketLimits, clock: Clock) {
    this.#full = bucket * 1000
    this.#refillPerMs = refillPerSecond
    this.#clock = clock
    this.#thousandths = this.#full
    this.#at = clock.now()
  }

  take(): boolean {
    this.#refill()
    if (this.#thousandths < 1000) return false
    this.#thousandths -= 1000
    return true
  }

  drain(tokens: number): void {
    this.#refill()
    this.#thousandths = Math.max(0, this.#thousandths - tokens * 1000)
  }

  #refill(): void {
    const now = this.#clock.now()
    this.#thousandths = Math.min(this.#full, this.#thousandths + (now - this.#at) * this.#refillPerMs)
    this.#at = now
  }
}
