// Those who look on. What they throw is no answer of EC2's to whoever called: it ends the process, as an error that nobody catches.

export class Listeners<Told extends readonly unknown[]> {
  readonly #all = new Set<(...told: Told) => void>()

  /** Until the returned function is called. */
  on(listener: (...told: Told) => void): () => void {
    this.#all.add(listener)
    return () => this.#all.delete(listener)
  }

  tell(...told: Told): void {
    for (const listener of this.#all) {
      try {
        listener(...told)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
