// Cards whose device file a process has open. The kernel lets nobody take such a card away until the process closes it.

export class HeldCards {
  readonly #held = new Map<string, PromiseWithResolvers<void>>()
  readonly #stopped: AbortSignal

  constructor(stopped: AbortSignal) {
    this.#stopped = stopped
  }

  has(bdf: string): boolean {
    return this.#held.has(bdf)
  }

  hold(bdf: string): void {
    if (!this.#held.has(bdf)) this.#held.set(bdf, Promise.withResolvers())
  }

  release(bdf: string): void {
    this.#held.get(bdf)?.resolve()
    this.#held.delete(bdf)
  }

  releaseAll(): void {
    for (const bdf of this.#held.keys()) this.release(bdf)
  }

  /** Rejects when the bus stops first. */
  async released(bdf: string): Promise<void> {
    await this.#held.get(bdf)?.promise
    this.#stopped.throwIfAborted()
  }
}
