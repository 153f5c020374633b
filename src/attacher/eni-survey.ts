// All ENIs with our cluster's tag, as EC2 shows them now and then: what somebody changed by hand, and what was lost, shows only
// there, since EC2 sends no events for ENIs. One call for each 1,000 of them.
import { clusterTag } from '../api/names.ts'
import { type Clock, sleep } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { Ec2, Eni } from './ec2.ts'
import { RetryPause } from './retry-pause.ts'

/** Together with the sweep of instances and the look at subnets (node-sweep.ts, network.ts): less than one describe a minute. */
const surveyMs = 120_000

export interface EniSurveyParts {
  readonly ec2: Ec2
  readonly clusterName: string
  readonly clock: Clock
  readonly log: Log
  readonly onSurvey: (enis: readonly Eni[], signal: AbortSignal) => Promise<void>
}

export class EniSurvey {
  readonly #parts: EniSurveyParts
  readonly #enis = new Map<string, Eni>()
  readonly #pause: RetryPause
  #startedAtMs: number | undefined
  #firstAtMs: number | undefined

  constructor(parts: EniSurveyParts) {
    this.#parts = parts
    this.#pause = new RetryPause(parts.clock, surveyMs)
  }

  /** When EC2 was asked, in milliseconds since the epoch. */
  get startedAtMs(): number | undefined {
    return this.#startedAtMs
  }

  /** When EC2 had first shown all of them, in milliseconds since the epoch. */
  get firstAtMs(): number | undefined {
    return this.#firstAtMs
  }

  /** EC2 answers again, so that a survey that failed need not wait. */
  retry(): void {
    this.#pause.end()
  }

  /** As the last survey showed it, and as we have changed it since. */
  get(eniID: string): Eni | undefined {
    return this.#enis.get(eniID)
  }

  /** We have changed it. */
  amend(eni: Eni): void {
    this.#enis.set(eni.id, eni)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#parts
    while (!signal.aborted) {
      this.#pause.beginTry()
      try {
        await this.#pass(signal)
        this.#pause.succeeded()
        await sleep(clock, surveyMs, signal)
      } catch (error) {
        if (signal.aborted) return
        log.warn({ err: error }, 'survey of our ENIs failed, trying again')
        await this.#pause.afterFailure(signal)
      }
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { ec2, clusterName, clock, onSurvey } = this.#parts
    const startedAtMs = clock.now()
    const enis = await ec2.describeEnisByTag(clusterTag, [clusterName])
    this.#enis.clear()
    for (const eni of enis) this.#enis.set(eni.id, eni)
    this.#startedAtMs = startedAtMs
    this.#firstAtMs ??= clock.now()
    await onSurvey(enis, signal)
  }
}
