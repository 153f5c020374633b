// Whether EC2 is worth asking: not while it does not know our credentials, or gives an action no answer. One call now and then sees
// whether that is over; all others fail at once, so that hundreds who wait do not ask hundreds of times.
import { ZodError } from 'zod'

import type { Clock } from '../process/clock.ts'
import { type Ec2Error, isEc2 } from './ec2-error.ts'

/** Between two calls that try. With jitter: what is down is down for many. */
const firstRestMs = 1_000
const lastRestMs = 30_000
/** A connection breaks now and then: only so many in a row, of one action, tell something. */
const silencesMax = 5

export class Ec2Gate {
  readonly #clock: Clock
  readonly #credentials: Door
  /** By action. The credentials' is not enough: whatever is refused to one action only would close and open it in turns. */
  readonly #actions = new Map<string, Door>()
  readonly #listeners: (() => void)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
    this.#credentials = new Door(clock)
  }

  /** Calls back when calls are made again: whoever backs off need not any more. */
  onOpen(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** @throws Ec2Error of an earlier call, while this one would end as it did. */
  check(action: string): void {
    const reason = this.#credentials.reason ?? this.#of(action).reason
    if (reason !== undefined) throw reason.ofCallNotMade(action)
  }

  /** Makes the call. @throws what it throws, or what `check` does. */
  async run<T>(action: string, call: () => Promise<T>): Promise<T> {
    this.check(action)
    const doors = [this.#credentials, this.#of(action)]
    const tried = doors.filter((door) => door.beginTry())
    try {
      const answer = await call()
      this.#open(doors)
      return answer
    } catch (error) {
      if (isEc2(error, 'Credentials')) for (const door of doors) door.fail(error, 1)
      else if (isSilence(error)) this.#of(action).fail(error, silencesMax)
      // Whatever else EC2 says, it says to somebody whom it knows.
      else this.#open(doors)
      throw error
    } finally {
      for (const door of tried) door.endTry()
    }
  }

  #open(doors: readonly Door[]): void {
    const ended = doors.filter((door) => door.open())
    if (ended.length === 0) return
    // What kept one action shut may have kept them all.
    for (const door of this.#actions.values()) door.endRest()
    for (const listener of this.#listeners) listener()
  }

  #of(action: string): Door {
    const door = this.#actions.get(action) ?? new Door(this.#clock)
    this.#actions.set(action, door)
    return door
  }
}

/** An answer that cannot be read is one, and about what was asked for. */
function isSilence(error: unknown): error is Ec2Error {
  return isEc2(error, 'Retry') && !(error.cause instanceof ZodError)
}

/** Closed by failures; then one call at a time tries it, ever more rarely, until one succeeds. */
class Door {
  readonly #clock: Clock
  #failures = 0
  /** While it is closed. */
  #error: Ec2Error | undefined
  #isTried = false
  #rests = 0
  #restsUntilMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Why no call is made now. */
  get reason(): Ec2Error | undefined {
    return this.#isTried || this.#restsUntilMs > this.#clock.monotonic() ? this.#error : undefined
  }

  fail(error: Ec2Error, failuresMax: number): void {
    this.#failures++
    const isClosed = this.#error !== undefined
    if (isClosed || this.#failures >= failuresMax) this.#error = error
    // What was under way when it closed makes no rest longer.
    if (!isClosed && this.#error !== undefined) this.#rest()
  }

  /** Answers whether it was closed for longer than the first rest: what one action is refused ends with the next call of another. */
  open(): boolean {
    const isLong = this.#rests > 1
    this.#error = undefined
    this.#failures = 0
    this.#rests = 0
    return isLong
  }

  endRest(): void {
    this.#restsUntilMs = 0
  }

  /** Answers whether it is closed. */
  beginTry(): boolean {
    this.#isTried = this.#error !== undefined
    return this.#isTried
  }

  endTry(): void {
    this.#isTried = false
    if (this.#error !== undefined) this.#rest()
  }

  #rest(): void {
    const ms = Math.min(firstRestMs * 2 ** this.#rests, lastRestMs)
    this.#rests++
    this.#restsUntilMs = this.#clock.monotonic() + ms * (0.75 + Math.random() / 2)
  }
}
