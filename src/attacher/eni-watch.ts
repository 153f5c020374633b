// One shared DescribeNetworkInterfaces for all who wait for an ENI to change, or just look: EC2 sends no events for that.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import { attachmentTag, clusterTag } from '../api/names.ts'
import { type Clock, sleep } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import { type Ec2ByUrgency, type Eni, filterValuesMax } from './ec2.ts'
import { urgencies, type Urgency } from './ec2-limiter.ts'
import { urgencyOf } from './urgency.ts'

/** Filtered describes are allowed 20 a second; attaches take 1 to 4 s, so this costs little and adds little. */
const fastMs = 250
const slowMs = 2_000
/** After so many failed looks in a row whoever waits is told, and comes back by himself. */
const failuresMax = 4
/** Somebody who waits for longer than this is slow anyway. */
const fastForMs = 15_000

/** Who looks. */
export interface Look {
  readonly urgency: Urgency
  readonly signal: AbortSignal
}

export function lookOf(attachment: ENIAttachment, signal: AbortSignal): Look {
  return { urgency: urgencyOf(attachment), signal }
}

interface Waiter {
  /** An ENI by its id, or all with our tag for an ENIAttachment. */
  readonly what: { readonly eniID: string } | { readonly ownerUID: string }
  readonly urgency: Urgency
  readonly tell: (shown: readonly Eni[]) => void
  readonly reject: (error: unknown) => void
  readonly sinceMs: number
}

export interface EniWatchParts {
  readonly ec2: Ec2ByUrgency
  readonly clusterName: string
  readonly clock: Clock
  readonly log: Log
}

export class EniWatch {
  readonly #parts: EniWatchParts
  readonly #waiters = new Set<Waiter>()
  #wake = Promise.withResolvers<void>()
  #failures = 0

  constructor(parts: EniWatchParts) {
    this.#parts = parts
  }

  /** Resolves with the ENI (undefined: EC2 does not show it) once `done` says so. @throws Ec2Error, or the signal's reason. */
  async until(eniID: string, done: (eni: Eni | undefined) => boolean, look: Look): Promise<Eni | undefined> {
    const [eni] = await this.#wait({ eniID }, ([shown]) => done(shown), look)
    return eni
  }

  /** What EC2 shows of it now. @throws Ec2Error, or the signal's reason. */
  next(eniID: string, look: Look): Promise<Eni | undefined> {
    return this.until(eniID, () => true, look)
  }

  /** All that EC2 shows now with our tag for this ENIAttachment. @throws Ec2Error, or the signal's reason. */
  ownedBy(ownerUID: string, look: Look): Promise<readonly Eni[]> {
    return this.#wait({ ownerUID }, () => true, look)
  }

  /** Describes while somebody waits, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts
    signal.addEventListener('abort', () => this.#wake.resolve(), { once: true })
    while (!signal.aborted) {
      if (this.#waiters.size === 0) {
        this.#wake = Promise.withResolvers()
        await this.#wake.promise
        continue
      }
      const failures = await this.#look(signal)
      // Never faster, however many come: nothing attaches in less.
      await sleep(clock, fastMs * 2 ** Math.min(failures, failuresMax), signal)
      const newest = Math.max(...[...this.#waiters].map(({ sinceMs }) => sinceMs))
      if (failures > 0 || clock.monotonic() - newest < fastForMs) continue
      this.#wake = Promise.withResolvers()
      await Promise.race([sleep(clock, slowMs - fastMs, signal), this.#wake.promise])
    }
  }

  async #wait(
    what: Waiter['what'],
    done: (shown: readonly Eni[]) => boolean,
    { urgency, signal }: Look,
  ): Promise<readonly Eni[]> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<readonly Eni[]>()
    const tell = (shown: readonly Eni[]) => {
      if (done(shown)) resolve(shown)
    }
    const waiter = { what, urgency, tell, reject, sinceMs: this.#parts.clock.monotonic() }
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

  /** @returns how many looks in a row have failed. */
  async #look(signal: AbortSignal): Promise<number> {
    const { log } = this.#parts
    const asked = [...this.#waiters]
    try {
      const byID = new Map((await this.#describe(asked)).map((eni) => [eni.id, eni]))
      const byOwner = Map.groupBy(byID.values(), ({ tags }) => tags.get(attachmentTag))
      for (const { what, tell } of asked) {
        const eni = 'eniID' in what ? byID.get(what.eniID) : undefined
        tell('eniID' in what ? (eni === undefined ? [] : [eni]) : (byOwner.get(what.ownerUID) ?? []))
      }
      this.#failures = 0
    } catch (error) {
      if (!signal.aborted) log.warn({ waiting: asked.length, err: error }, 'describing ENIs failed, trying again')
      this.#failures++
      if (this.#failures >= failuresMax) for (const { reject } of asked) reject(error)
    }
    return this.#failures
  }

  /** A filter takes so many values; for more it is cheaper to see all ENIs of the cluster, of which a page has 1,000. */
  async #describe(asked: readonly Waiter[]): Promise<Eni[]> {
    const { ec2: access, clusterName } = this.#parts
    const ec2 = access(urgencies.find((urgency) => asked.some((waiter) => waiter.urgency === urgency)) ?? 'ahead')
    const ids = [...new Set(asked.flatMap(({ what }) => ('eniID' in what ? what.eniID : [])))]
    const owners = [...new Set(asked.flatMap(({ what }) => ('ownerUID' in what ? what.ownerUID : [])))]
    if (ids.length + owners.length <= filterValuesMax) {
      const [known, owned] = await Promise.all([ec2.describeEnis(ids), ec2.describeEnisByTag(attachmentTag, owners)])
      return [...known, ...owned]
    }
    const all = await ec2.describeEnisByTag(clusterTag, [clusterName])
    const shown = new Set(all.map(({ id }) => id))
    // Somebody may have taken our tag away.
    return [...all, ...(await ec2.describeEnis(ids.filter((id) => !shown.has(id))))]
  }
}
