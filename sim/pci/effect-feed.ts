// Events of a simulator, one for each effect, so that a test awaits effects instead of time.
import { EventEmitter } from 'node:events'

/** Each effect is emitted under its own name, then as 'change'. */
export class EffectFeed<Effects extends Record<keyof Effects, unknown[]>> extends EventEmitter<Effects> {
  readonly #stopped: AbortSignal

  constructor(stopped: AbortSignal) {
    super()
    this.#stopped = stopped
    this.setMaxListeners(0)
  }

  report<Kind extends Exclude<keyof Effects & string, 'change'>>(kind: Kind, ...details: Effects[Kind]): void {
    const feed = this as unknown as EventEmitter
    feed.emit(kind, ...details)
    feed.emit('change')
  }

  /** Resolves at once if the condition holds, else after the first effect that makes it true; rejects when the simulator stops. */
  until(condition: () => boolean): Promise<void> {
    const feed = this as unknown as EventEmitter
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const check = () => {
      if (condition()) resolve()
    }
    const stop = () => reject(this.#stopped.reason)
    feed.on('change', check)
    this.#stopped.addEventListener('abort', stop)
    check()
    if (this.#stopped.aborted) stop()
    return promise.finally(() => {
      feed.off('change', check)
      this.#stopped.removeEventListener('abort', stop)
    })
  }
}
