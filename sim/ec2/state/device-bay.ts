// The cards that are plugged into guests. Calls to the hypervisor about one card run one after the other, however slow they are:
// an unplug never overtakes the plug before it. With a hypervisor that answers at once, so does this.

import type { Hypervisor, PluggedCard } from './hypervisor.ts'

export class DeviceBay {
  readonly #hypervisor: Hypervisor
  readonly #plugged = new Set<string>()
  readonly #running = new Map<string, Promise<void>>()

  constructor(hypervisor: Hypervisor) {
    this.#hypervisor = hypervisor
  }

  has(eniId: string): boolean {
    return this.#plugged.has(eniId)
  }

  plug(instanceId: string, card: PluggedCard): void {
    if (this.#plugged.has(card.eniId)) return
    this.#plugged.add(card.eniId)
    this.#run(card.eniId, () => this.#hypervisor.plug(instanceId, card))
  }

  /** Calls `then` when the guest has let go, at once if it never had the card. */
  unplug(
    instanceId: string,
    card: { readonly eniId: string; readonly mac: string },
    then: () => void = () => {},
  ): void {
    if (!this.#plugged.delete(card.eniId)) return then()
    this.#run(card.eniId, () => this.#hypervisor.unplug(instanceId, card), then)
  }

  /** A hypervisor that fails is a bug in the simulation: its rejection stays unhandled and ends the process. */
  #run(eniId: string, step: () => void | Promise<void>, then: () => void = () => {}): void {
    const before = this.#running.get(eniId)
    const work = before === undefined ? step() : before.then(step)
    if (work === undefined) return then()
    const done: Promise<void> = work.then(() => {
      if (this.#running.get(eniId) === done) this.#running.delete(eniId)
      return then()
    })
    this.#running.set(eniId, done)
  }
}
