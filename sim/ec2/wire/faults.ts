// Faults that a test or the demo orders: the nth call of an action fails, before EC2 did it or after, so that EC2 has done it and
// the caller does not know.

import type { ActionName } from './actions.ts'

export type FaultKind =
  | { readonly code: string; readonly message?: string; readonly status?: number }
  /** The connection breaks without an answer. */
  | 'reset'
  /** The connection stays open and nothing comes, until the caller gives up. */
  | 'no-answer'
  /** An answer that is no EC2 error document, as a load balancer gives. */
  | 'http500'
  /** The answer is right and takes `ms` longer. */
  | 'slow'

export interface Fault {
  /** `*`: all. */
  readonly action: ActionName | '*'
  /** Counted from when the fault was added; the first call is 1, which is the default. */
  readonly nth?: number
  /** How many calls in a row from the nth on; 1 unless told, Infinity for ever. */
  readonly times?: number
  readonly when: 'before' | 'after'
  readonly kind: FaultKind
  readonly ms?: number
}

interface OrderedFault {
  readonly fault: Fault
  seen: number
}

export class Faults {
  #ordered: OrderedFault[] = []

  /** Returns a function that takes the fault back. */
  add(fault: Fault): () => void {
    const ordered = { fault, seen: 0 }
    this.#ordered.push(ordered)
    return () => {
      this.#ordered = this.#ordered.filter((other) => other !== ordered)
    }
  }

  clear(): void {
    this.#ordered = []
  }

  /** Counts this call and returns the fault that strikes it: the first added of those that do. */
  strike(action: string): Fault | undefined {
    const candidates = this.#ordered.filter(({ fault }) => fault.action === action || fault.action === '*')
    for (const candidate of candidates) candidate.seen++
    return candidates.find(({ fault, seen }) => {
      const first = fault.nth ?? 1
      return seen >= first && seen < first + (fault.times ?? 1)
    })?.fault
  }
}
