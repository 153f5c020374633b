// Ends the wait of a loop: by a poke from anywhere, after a time, or when the program stops.

export class LoopWaker {
  #poked = false
  #wake: (() => void) | undefined

  /** A poke while nobody waits is kept for the next wait. */
  poke(): void {
    this.#poked = true
    this.#wake?.()
  }

  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#poked && !signal.aborted) {
      const { promise, resolve: end } = Promise.withResolvers<void>()
      const resolve = () => end()
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', resolve, { once: true })
      this.#wake = resolve
      await promise
      clearTimeout(timer)
      signal.removeEventListener('abort', resolve)
      this.#wake = undefined
    }
    this.#poked = false
  }
}
