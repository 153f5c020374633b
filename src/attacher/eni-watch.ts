// One shared DescribeNetworkInterfaces for all who wait for an ENI to change, or just look: EC2 sends no events for that. A second
// one only for ENIs that the first does not show.
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
  /** UID of the ENIAttachment, which stands in a tag of its ENI. */
  readonly ownerUID: string
  readonly urgency: Urgency
  readonly signal: AbortSignal
}

export function lookOf(attachment: ENIAttachment, signal: AbortSignal, urgency = urgencyOf(attachment)): Look {
  return { ownerUID: attachment.metadata.uid, urgency, signal }
}

interface Waiter {
  readonly ownerUID: string
  /** undefined: all with the tag of the owner. */
  readonly eniID: string | undefined
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
    const [eni] = await this.#wait(eniID, ([shown]) => done(shown), look)
    return eni
  }

  /** What EC2 shows of it now. @throws Ec2Error, or the signal's reason. */
  next(eniID: string, look: Look): Promise<Eni | undefined> {
    return this.until(eniID, () => true, look)
  }

  /** All that EC2 shows now with the tag of this owner. @throws Ec2Error, or the signal's reason. */
  owned(look: Look): Promise<readonly Eni[]> {
    return this.#wait(undefined, () => true, look)
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
    eniID: string | undefined,
    done: (shown: readonly Eni[]) => boolean,
    { ownerUID, urgency, signal }: Look,
  ): Promise<readonly Eni[]> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<readonly Eni[]>()
    const tell = (shown: readonly Eni[]) => {
      if (done(shown)) resolve(shown)
    }
    const waiter = { ownerUID, eniID, urgency, tell, reject, sinceMs: this.#parts.clock.monotonic() }
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
      for (const { ownerUID, eniID, tell } of asked) {
        const eni = byID.get(eniID ?? '')
        tell(eniID === undefined ? (byOwner.get(ownerUID) ?? []) : eni === undefined ? [] : [eni])
      }
      this.#failures = 0
    } catch (error) {
      if (!signal.aborted) log.warn({ waiting: asked.length, err: error }, 'describing ENIs failed, trying again')
      this.#failures++
      if (this.#failures >= failuresMax) for (const { reject } of asked) reject(error)
    }
    return this.#failures
  }

  /**
   * By the tag of the owners, and only what EC2 does not show so by its id: somebody may have taken the tag away. A filter takes so many
   * values; for more it is cheaper to see all ENIs of the cluster, of which a page has 1,000.
   */
  async #describe(asked: readonly Waiter[]): Promise<Eni[]> {
    const { ec2: access, clusterName } = this.#parts
    const ec2 = access(urgencies.find((urgency) => asked.some((waiter) => waiter.urgency === urgency)) ?? 'ahead')
    const owners = [...new Set(asked.map(({ ownerUID }) => ownerUID))]
    const tagged = await (owners.length <= filterValuesMax
      ? ec2.describeEnisByTag(attachmentTag, owners)
      : ec2.describeEnisByTag(clusterTag, [clusterName]))
    const shown = new Set(tagged.map(({ id }) => id))
    const ids = new Set(asked.flatMap(({ eniID }) => eniID ?? []))
    return [...tagged, ...(await ec2.describeEnis([...ids].filter((id) => !shown.has(id))))]
  }
}
