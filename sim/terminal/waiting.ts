// How a program at a terminal waits: it shows for what, it gives up with those words after a deadline, and Ctrl-C ends it at once.
import { setTimeout as delay } from 'node:timers/promises'
import type { Observer } from '../installation/observer.ts'
import type { Narrator } from './narrator.ts'

const deadlineMs = 2 * 60_000
const pollMs = 100

export interface WaitingParts {
  readonly say: Narrator
  readonly observer: Pick<Observer, 'until'>
  /** Of Ctrl-C. */
  readonly signal: AbortSignal
  /** Of each wait. */
  readonly deadlineMs?: number
}

export class Waiting {
  readonly #parts: WaitingParts
  readonly #deadlineMs: number

  constructor(parts: WaitingParts) {
    this.#parts = parts
    this.#deadlineMs = parts.deadlineMs ?? deadlineMs
  }

  /** For what the observer's watches show. */
  async until(what: string, holds: () => boolean): Promise<void> {
    await this.during(what, (signal) => this.#parts.observer.until(holds, signal))
  }

  /** For what only asking again shows. */
  async poll(what: string, holds: (signal: AbortSignal) => Promise<boolean>): Promise<void> {
    await this.during(what, async (signal) => {
      while (!(await holds(signal))) await delay(pollMs, undefined, { signal })
    })
  }

  /** For work that ends when its signal aborts. */
  async during<T>(what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { say, signal } = this.#parts
    const deadline = AbortSignal.timeout(this.#deadlineMs)
    try {
      return await say.during(what, work(AbortSignal.any([signal, deadline])))
    } catch (error) {
      if (!deadline.aborted) throw error
      throw new Error(`waited ${this.#deadlineMs / 1000} s in vain for this: ${what}`, { cause: error })
    }
  }
}
