// Work on cards that takes time: at most one piece per attachment, with backoff after a failure, and quarantine while a
// sysfs write does not return. Other attachments go on meanwhile.
import type { Log } from '../process/log.ts'
import type { MonotonicClock } from './monotonic-clock.ts'
import type { StepFailure, WorkState } from './step.ts'

export type WorkOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly failure: StepFailure }
  /** `ended` resolves when the kernel has let the writer go. */
  | { readonly kind: 'stuck'; readonly failure: StepFailure; readonly ended: Promise<void> }

const firstBackoffMs = 500
const lastBackoffMs = 60_000

interface Item {
  state: WorkState
  failures: number
  retryAt: number
}

export class CardWork {
  readonly #clock: MonotonicClock
  readonly #log: Log
  readonly #onChange: () => void
  readonly #items = new Map<string, Item>()
  readonly #running = new Set<Promise<void>>()

  constructor(clock: MonotonicClock, log: Log, onChange: () => void) {
    this.#clock = clock
    this.#log = log
    this.#onChange = onChange
  }

  stateOf(uid: string): WorkState {
    const item = this.#items.get(uid)
    if (item === undefined) return { kind: 'none' }
    const isOver = item.state.kind === 'backing-off' && this.#clock.monotonic() >= item.retryAt
    return isOver ? { kind: 'none' } : item.state
  }

  /** Cards whose sysfs write does not return, also of attachments that are gone. */
  get quarantined(): number {
    return [...this.#items.values()].filter(({ state }) => state.kind === 'stuck').length
  }

  start(uid: string, fields: object, work: () => Promise<WorkOutcome>): void {
    const item = this.#items.get(uid) ?? { state: { kind: 'none' }, failures: 0, retryAt: 0 }
    item.state = { kind: 'running' }
    this.#items.set(uid, item)
    const running = this.#run(uid, item, fields, work).finally(() => {
      this.#running.delete(running)
      this.#onChange()
    })
    this.#running.add(running)
  }

  /** Forgets attachments that are gone, unless something still runs for them. */
  retain(uids: ReadonlySet<string>): void {
    for (const [uid, { state }] of this.#items) {
      if (!uids.has(uid) && state.kind !== 'running' && state.kind !== 'stuck') this.#items.delete(uid)
    }
  }

  /** Resolves when all that runs has ended: a card is not left half way when the process stops. */
  async settled(): Promise<void> {
    await Promise.all(this.#running)
  }

  async #run(uid: string, item: Item, fields: object, work: () => Promise<WorkOutcome>): Promise<void> {
    try {
      const outcome = await work()
      if (outcome.kind === 'done') this.#items.delete(uid)
      else if (outcome.kind === 'failed') this.#backOff(item, fields, outcome.failure)
      else this.#quarantine(uid, item, fields, outcome)
    } catch (error) {
      this.#backOff(item, { ...fields, err: error }, undefined)
    }
  }

  #backOff(item: Item, fields: object, failure: StepFailure | undefined): void {
    const retryMs = Math.min(firstBackoffMs * 2 ** item.failures, lastBackoffMs)
    item.failures++
    item.retryAt = this.#clock.monotonic() + retryMs
    item.state = { kind: 'backing-off', failure }
    this.#log.warn({ ...fields, ...failure, retryMs }, 'step failed, trying again')
  }

  #quarantine(uid: string, item: Item, fields: object, outcome: WorkOutcome & { kind: 'stuck' }): void {
    item.state = { kind: 'stuck', failure: outcome.failure }
    this.#log.error({ ...fields, ...outcome.failure }, 'card quarantined: a sysfs write does not return')
    void this.#endQuarantine(uid, fields, outcome.ended)
  }

  async #endQuarantine(uid: string, fields: object, ended: Promise<void>): Promise<void> {
    await ended
    this.#items.delete(uid)
    this.#log.info(fields, 'card out of quarantine: the sysfs write has ended')
    this.#onChange()
  }
}
