// Whether the loop still turns, for the liveness probe. An API server or a kubelet that is away does not stop it: to restart a
// healthy agent for that would help nobody.

/** A pass takes milliseconds, and one begins every second at least. */
const stallMs = 30_000

export class LoopHealth {
  #wellAt: number | undefined
  #error: string | undefined

  /** The loop begins, or a pass has ended well. `now` in monotonic milliseconds. */
  well(now: number): 'again' | 'still' {
    const before = this.#error === undefined ? 'still' : 'again'
    this.#wellAt = now
    this.#error = undefined
    return before
  }

  /** A failure that stays is tried again each second, and told once. */
  failed(error: unknown): 'new' | 'same' {
    const before = this.#error
    this.#error = error instanceof Error ? error.message : JSON.stringify(error)
    return this.#error === before ? 'same' : 'new'
  }

  /** In one line; undefined also before the loop begins. */
  problem(now: number): string | undefined {
    if (this.#wellAt === undefined || now - this.#wellAt < stallMs) return undefined
    const seconds = Math.floor((now - this.#wellAt) / 1000)
    return `no pass has ended well for ${seconds} s: ${this.#error ?? 'the loop does not turn'}`
  }
}
