// Changes of ENIs that EC2 refuses, by NodeENI and attribute. What it refuses for one ENI it most likely refuses for all of its
// NodeENI: so one of them asks for the others, ever more rarely, until EC2 takes the change or somebody edits the NodeENI.
import type { NodeENI } from '../api/node-eni.ts'
import type { Clock } from '../process/clock.ts'
import { type Ec2Error, isEc2 } from './ec2-error.ts'
import type { EniChange } from './eni-drift.ts'

const firstRestMs = 60_000
const lastRestMs = 5 * 60_000
/** What EC2 refuses may be of one ENI only, a tag of it, say: the next to ask is another one. */
const othersFirstMs = 5_000

/** After the first survey all ENIs are looked at within that. */
const firstLookMs = 60_000

export type Attribute = EniChange['attribute']

/** For the condition of the NodeENI. */
export interface ChangeRefusal {
  readonly attribute: Attribute
  /** The first, as long as it is the same one: another names another ENI. */
  readonly error: Ec2Error
  /** Names of the ENIAttachments whose ENIs are not as they should be. */
  readonly behind: ReadonlySet<string>
}

/** Not done: EC2 has refused it, now, or before for another ENI. */
export interface NotDone {
  readonly againMs: number
  /** EC2's answer for this very ENI. */
  readonly error?: Ec2Error
}

interface Attempts {
  /** Until EC2 has taken one change, only one at a time is asked for. */
  asking: Promise<void> | undefined
  isTaken: boolean
  error: Ec2Error | undefined
  times: number
  untilMs: number
  readonly behind: Set<string>
}

export class ChangeRefusals {
  readonly #clock: Clock
  readonly #onChange: (nodeENI: string) => void
  readonly #firstSurveyMs: () => number | undefined
  /** By name. What was refused for another generation says nothing. */
  readonly #of = new Map<string, { readonly edition: string; readonly attempts: Map<Attribute, Attempts> }>()

  /** `onChange` is called when `of` says something else; `firstSurveyMs` answers when EC2 has first shown all ENIs, in milliseconds since the epoch. */
  constructor(clock: Clock, onChange: (nodeENI: string) => void, firstSurveyMs: () => number | undefined) {
    this.#clock = clock
    this.#onChange = onChange
    this.#firstSurveyMs = firstSurveyMs
  }

  /** Undefined until all ENIs were looked at since the start: what was refused before may still be. */
  of(nodeENI: NodeENI): ChangeRefusal[] | undefined {
    const found = [...this.#attemptsOf(nodeENI)].flatMap(([attribute, { error, behind }]) =>
      error === undefined || behind.size === 0 ? [] : [{ attribute, error, behind }],
    )
    const looksSinceMs = this.#firstSurveyMs() ?? Infinity
    return found.length > 0 || this.#clock.now() - looksSinceMs >= firstLookMs ? found : undefined
  }

  forget(nodeENIName: string): void {
    this.#of.delete(nodeENIName)
  }

  /** It has gone, and no ENI of it is behind any more. */
  forgetAttachment(attachmentName: string): void {
    for (const [nodeENIName, { attempts }] of this.#of)
      for (const { behind } of attempts.values()) if (behind.delete(attachmentName)) this.#onChange(nodeENIName)
  }

  /** In which attributes an ENI differs now: all others of it are as they should be. */
  note(nodeENI: NodeENI, attachmentName: string, differing: ReadonlySet<Attribute>): void {
    for (const [attribute, { behind }] of this.#attemptsOf(nodeENI))
      if (!differing.has(attribute) && behind.delete(attachmentName)) this.#onChange(nodeENI.metadata.name)
  }

  /** Undefined: done. @throws what `call` throws, other than that EC2 refuses it, or the signal's reason. */
  async try(
    nodeENI: NodeENI,
    attachmentName: string,
    attribute: Attribute,
    signal: AbortSignal,
    call: () => Promise<void>,
  ): Promise<NotDone | undefined> {
    const attempts = this.#attempt(nodeENI, attribute)
    while (!attempts.isTaken && attempts.asking !== undefined) {
      await attempts.asking
      signal.throwIfAborted()
    }
    const leftMs = attempts.untilMs - this.#clock.now()
    if (leftMs > 0) {
      this.#put(nodeENI, attempts, attachmentName)
      return { againMs: leftMs }
    }
    const asking = Promise.withResolvers<void>()
    attempts.asking = asking.promise
    try {
      await call()
      this.#taken(nodeENI, attempts, attachmentName)
      return undefined
    } catch (error) {
      if (!isEc2(error, 'Configuration')) throw error
      return { error, againMs: this.#refused(nodeENI, attempts, attachmentName, error) + othersFirstMs }
    } finally {
      if (attempts.asking === asking.promise) attempts.asking = undefined
      asking.resolve()
    }
  }

  #taken({ metadata }: NodeENI, attempts: Attempts, attachmentName: string): void {
    const { error, behind } = attempts
    behind.delete(attachmentName)
    Object.assign(attempts, { isTaken: true, error: undefined, times: 0, untilMs: 0 })
    if (error !== undefined) this.#onChange(metadata.name)
  }

  /** Answers after how many milliseconds EC2 is to be asked again. */
  #refused(nodeENI: NodeENI, attempts: Attempts, attachmentName: string, error: Ec2Error): number {
    const now = this.#clock.now()
    attempts.isTaken = false
    if (attempts.error?.code !== error.code) attempts.error = error
    // Of many that were refused at the same time only one counts.
    if (attempts.untilMs <= now) attempts.untilMs = now + Math.min(firstRestMs * 2 ** attempts.times++, lastRestMs)
    this.#put(nodeENI, attempts, attachmentName)
    return attempts.untilMs - now
  }

  #put({ metadata }: NodeENI, { behind }: Attempts, attachmentName: string): void {
    if (behind.has(attachmentName)) return
    behind.add(attachmentName)
    this.#onChange(metadata.name)
  }

  #attempt(nodeENI: NodeENI, attribute: Attribute): Attempts {
    const all = this.#attemptsOf(nodeENI)
    const fresh = () => ({ asking: undefined, isTaken: false, error: undefined, times: 0, untilMs: 0 })
    const attempts = all.get(attribute) ?? { ...fresh(), behind: new Set<string>() }
    all.set(attribute, attempts)
    return attempts
  }

  #attemptsOf({ metadata }: NodeENI): Map<Attribute, Attempts> {
    const edition = `${metadata.uid}/${metadata.generation}`
    const known = this.#of.get(metadata.name)
    if (known?.edition === edition) return known.attempts
    const attempts = new Map<Attribute, Attempts>()
    this.#of.set(metadata.name, { edition, attempts })
    return attempts
  }
}
