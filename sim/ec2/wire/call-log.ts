// Every call that reached the simulated EC2, with what became of it: for tests that count calls and for the demo's time line.

import { Listeners } from '../state/listeners.ts'

import type { ActionName } from './actions.ts'
import type { XmlElements } from './xml.ts'

export interface Call {
  readonly requestId: string
  readonly action: string
  /** When it came, on the simulation's clock. */
  readonly at: number
  /** From its coming to its answer: EC2's own time. */
  readonly ms: number
  readonly accessKeyId: string | undefined
  readonly parameters: Readonly<Record<string, string>>
  /** What EC2 did; of Describe actions nothing, since that may be large. */
  readonly result?: XmlElements
  /** The code that the caller got; `reset` and `http500` for the faults of that name. */
  readonly error?: string
}

export class CallLog implements Iterable<Call> {
  readonly #listeners = new Listeners<[Call]>()
  #calls: Call[] = [];

  [Symbol.iterator](): IterableIterator<Call> {
    return this.#calls[Symbol.iterator]()
  }

  of(action: ActionName): Call[] {
    return this.#calls.filter((call) => call.action === action)
  }

  count(action?: ActionName): number {
    return action === undefined ? this.#calls.length : this.of(action).length
  }

  countByAction(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { action } of this.#calls) counts[action] = (counts[action] ?? 0) + 1
    return counts
  }

  /** Calls the listener after every call, just before its answer leaves, until the returned function is called. */
  on(listener: (call: Call) => void): () => void {
    return this.#listeners.on(listener)
  }

  add(call: Call): void {
    this.#calls.push(call)
    this.#listeners.tell(call)
  }

  clear(): void {
    this.#calls = []
  }
}
