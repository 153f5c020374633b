// The VPC CNI's ipamd on one node: a rival for device indexes, for interfaces without our no_manage tag, and for EC2's throttle buckets.
// Models (amazon-vpc-cni-k8s b521883, pkg/ipamd/ipamd.go): the pool of interfaces on card 0, grown and shrunk when told; at its start
// and every 60 s a look at what is attached, with one DescribeNetworkInterfaces of all attached ids when one is new; adoption (tags,
// then use) of what has no no_manage=true; forgetting of what is detached; the count of slots that it believes are its own; every hour
// the clean-up of what ipamds left behind, after a pause of up to 5 min. Calls go through the service: they are logged, throttled, struck by faults.
// Does not model: when pods make it grow or shrink, IPs and pods on an interface, the metadata service's lag, prefix delegation, trunks,
// EFA, ENABLE_MULTI_NIC, ENABLE_IMDS_ONLY_MODE, MANAGE_UNTAGGED_ENI=false, WARM_* targets, the skipped look after a recent change.

import { noManageTag } from '../../../src/api/names.ts'
import type { Ec2 } from '../new-ec2.ts'
import type { Random } from '../state/duration.ts'
import type { Ec2State } from '../state/ec2-state.ts'

import { oneOf } from './choice.ts'
import { CallFailed } from './ec2-caller.ts'
import { pause, retried } from './pause.ts'
import { primaryOf } from './primary.ts'
import { type EniTags, VpcCniEc2 } from './vpc-cni-ec2.ts'

const reconcileEveryMs = 60_000
const cleanUpEveryMs = 60 * 60_000
const cleanUpDelayMostMs = 300_000
/** Younger ones are not given back (datastore, minENILifeTime). */
const leastAgeMs = 60_000
const attachedBackoff = { tries: 12, firstMs: 100, mostMs: 60_000 }

export interface VpcCniOptions {
  readonly instanceId: string
  readonly random: Random
  readonly clusterName?: string
  /** Secondary IPv4 addresses of a new interface; none unless told. */
  readonly addresses?: number
}

/** EC2's code for the call that failed, or what ipamd gave up. */
export interface PoolFailure {
  readonly failed: string
}

export type PoolChange = { readonly eniId: string } | PoolFailure | 'no-room' | 'nothing-to-free' | 'not-running'

export class VpcCni {
  readonly #state: Ec2State
  readonly #calls: VpcCniEc2
  readonly #options: VpcCniOptions
  /** Interfaces in use, the primary among them, and since when. */
  readonly #pool = new Map<string, number>()
  #unmanaged: ReadonlySet<string> = new Set()
  /** How many of those were on card 0 when it last looked. */
  #unmanagedOnCard = 0
  #process: AbortController | undefined
  /** ipamd does one thing after the other. */
  #work: Promise<unknown> = Promise.resolve()
  #unwatch: () => void = () => {}

  constructor(ec2: Ec2, options: VpcCniOptions) {
    const { instanceId, clusterName, addresses = 0 } = options
    this.#state = ec2.state
    this.#calls = new VpcCniEc2(ec2, { instanceId, clusterName, addresses })
    this.#options = options
  }

  /** What it uses: its own and what it adopted, without the primary. */
  get eniIds(): readonly string[] {
    const primary = this.#primary()
    return [...this.#pool.keys()].filter((eniId) => eniId !== primary)
  }

  /** From now on ipamd runs whenever its instance runs. */
  start(): void {
    this.#unwatch = this.#state.watch(() => this.#followInstance())
    this.#followInstance()
  }

  stop(): void {
    this.#unwatch()
    this.#kill()
  }

  /** It is killed in the middle of whatever it does, and begins anew. */
  restart(): void {
    this.#kill()
    this.#followInstance()
  }

  /** One interface more, as for too few free addresses. */
  grow(): Promise<PoolChange> {
    return this.#next((signal) => this.#grow(signal))
  }

  /** One interface less, which has been in use for a minute at least. */
  shrink(): Promise<PoolChange> {
    return this.#next((signal) => this.#shrink(signal))
  }

  #followInstance(): void {
    const instance = this.#state.instances().find(({ instanceId }) => instanceId === this.#options.instanceId)
    if (instance?.state !== 'running') return this.#kill()
    if (this.#process === undefined) this.#begin()
  }

  #begin(): void {
    this.#process = new AbortController()
    const { signal } = this.#process
    void untilGone(signal, this.#keepReconciling(signal))
    void untilGone(signal, this.#keepCleaningUp(signal))
  }

  /** What it knew goes with it. */
  #kill(): void {
    this.#process?.abort()
    this.#process = undefined
    this.#pool.clear()
    this.#unmanaged = new Set()
    this.#work = Promise.resolve()
  }

  async #keepReconciling(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#next((given) => this.#reconcile(given))
      await pause(this.#state.clock, reconcileEveryMs, signal)
    }
  }

  async #keepCleaningUp(signal: AbortSignal): Promise<void> {
    for (;;) {
      await pause(this.#state.clock, Math.floor(this.#options.random() * cleanUpDelayMostMs), signal)
      await orFailure(this.#calls.deleteLeaked(signal))
      await pause(this.#state.clock, cleanUpEveryMs, signal)
    }
  }

  #next<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result | PoolFailure | 'not-running'> {
    const signal = this.#process?.signal
    if (signal === undefined) return Promise.resolve('not-running')
    const done = this.#work.then(() => untilGone(signal, orFailure(work(signal))))
    this.#work = done
    return done
  }

  async #grow(signal: AbortSignal): Promise<PoolChange> {
    const { cards } = this.#state.instance(this.#options.instanceId).limits
    if (this.#pool.size >= (cards[0] ?? 0) - this.#unmanagedOnCard) return 'no-room'
    const eniId = await this.#calls.allocateEni(signal)
    const seen = await retried(this.#state.clock, attachedBackoff, signal, async () =>
      this.#attached().includes(eniId) ? eniId : undefined,
    )
    if (seen === undefined) return { failed: `waiting for ${eniId} to be attached` }
    this.#pool.set(eniId, this.#state.clock.now())
    return { eniId }
  }

  async #shrink(signal: AbortSignal): Promise<PoolChange> {
    const latest = this.#state.clock.now() - leastAgeMs
    const old = this.eniIds.filter((eniId) => (this.#pool.get(eniId) ?? Infinity) <= latest)
    const eniId = oneOf(old, this.#options.random)
    if (eniId === undefined) return 'nothing-to-free'
    this.#pool.delete(eniId)
    return (await this.#calls.freeEni(eniId, signal)) ? { eniId } : { failed: `freeing ${eniId}` }
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    let managed = this.#managed(this.#attached())
    let tags: ReadonlyMap<string, EniTags> = new Map()
    if (managed.some((eniId) => !this.#pool.has(eniId))) {
      tags = await this.#calls.tagsOf(this.#attached(), signal)
      const unmanaged = [...tags].filter(([eniId, its]) => its.get(noManageTag) === 'true' && eniId !== this.#primary())
      this.#unmanaged = new Set(unmanaged.map(([eniId]) => eniId))
      managed = this.#managed([...tags.keys()])
    }
    for (const eniId of managed.filter((each) => !this.#pool.has(each))) {
      const tagged = await this.#calls.tagEni(eniId, tags.get(eniId) ?? new Map(), signal)
      if (tagged) this.#pool.set(eniId, this.#state.clock.now())
    }
    for (const eniId of this.#pool.keys()) if (!managed.includes(eniId)) this.#pool.delete(eniId)
  }

  /** On all cards, as the metadata service lists them. */
  #attached(): string[] {
    return this.#state
      .enisOn(this.#options.instanceId)
      .filter(({ attachment }) => attachment?.status === 'attached')
      .map(({ eniId }) => eniId)
  }

  /** Those of card 0 that it may use: other cards are never managed unless ENABLE_MULTI_NIC is set. Counts what it leaves out there. */
  #managed(eniIds: readonly string[]): string[] {
    const onCard = eniIds.filter((eniId) => this.#state.findEni(eniId)?.attachment?.networkCard === 0)
    const managed = onCard.filter((eniId) => !this.#unmanaged.has(eniId))
    this.#unmanagedOnCard = onCard.length - managed.length
    return managed
  }

  #primary(): string | undefined {
    return primaryOf(this.#state, this.#options.instanceId)?.eniId
  }
}

/** A failed call is an outcome; anything else is a bug. */
async function orFailure<Result>(work: Promise<Result>): Promise<Result | PoolFailure> {
  try {
    return await work
  } catch (error) {
    if (error instanceof CallFailed) return { failed: error.code }
    throw error
  }
}

async function untilGone<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result | 'not-running'> {
  try {
    return await work
  } catch (error) {
    if (signal.aborted) return 'not-running'
    throw error
  }
}
