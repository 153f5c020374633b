// Eventual consistency: how long what was done stays unseen (EC2 developer guide, "Eventual consistency"). Off unless set.

import type { Clock } from './clock.ts'
import { type Duration, type Random, drawn, longest } from './duration.ts'
import { InterfaceHistory } from './interface-history.ts'
import { InterfaceView } from './interface-view.ts'
import type { NetworkInterface } from './network-interface.ts'

export interface Consistency {
  /** A new interface's id stays unknown this long after its creation: for each interface one draw for Describe, one for other calls. */
  readonly newIdMs: Duration
  /** A Describe answer shows an interface as it was so long ago: a draw for each interface and call. */
  readonly listMs: Duration
  /** IAM knows no tags of a new interface for so long, a draw for each: 0 unless set. */
  readonly newTagsMs?: Duration
}

/** Describe may know an interface of which the other calls say NotFound, and the other way round. To IAM it is a matter of tags. */
export type Knower = 'describe' | 'other' | 'iam'

/** Milliseconds since the epoch. */
export type KnownFrom = Readonly<Record<Knower, number>>

export const knownAlways: KnownFrom = { describe: 0, other: 0, iam: 0 }

export class Visibility {
  readonly #clock: Clock
  readonly #random: Random
  #consistency: Consistency = { newIdMs: 0, listMs: 0 }
  #history: InterfaceHistory | undefined

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** `present` are the interfaces that are there now: nothing is known of how they were earlier. */
  set(consistency: Consistency | undefined, present: Iterable<NetworkInterface>): void {
    this.#consistency = consistency ?? { newIdMs: 0, listMs: 0 }
    if (consistency === undefined) this.#history = undefined
    else this.#history ??= new InterfaceHistory(present)
  }

  /** From when on the id of an interface that is created now is known. */
  knownFrom(): KnownFrom {
    const { newIdMs, newTagsMs = 0 } = this.#consistency
    const after = (ms: Duration): number => this.#clock.now() + drawn(ms, this.#random)
    return { describe: after(newIdMs), other: after(newIdMs), iam: after(newTagsMs) }
  }

  knows(eni: NetworkInterface, knower: Knower): boolean {
    return eni.knownFrom[knower] <= this.#clock.now()
  }

  record(eni: NetworkInterface): void {
    this.#history?.record(eni, this.#clock.now())
  }

  recordDeletion(eniId: string): void {
    this.#history?.recordDeletion(eniId, this.#clock.now())
  }

  /** What a Describe call sees that comes now. */
  view(present: readonly NetworkInterface[]): InterfaceView {
    return new InterfaceView(this.#seen(present).filter((eni) => this.knows(eni, 'describe')))
  }

  #seen(present: readonly NetworkInterface[]): readonly NetworkInterface[] {
    if (this.#history === undefined) return present
    const now = this.#clock.now()
    const { listMs } = this.#consistency
    return this.#history.at(() => now - drawn(listMs, this.#random), now - longest(listMs))
  }
}
