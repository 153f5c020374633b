// What an extender says of itself on the port of its probes and metrics.
import { setTimeout as delay } from 'node:timers/promises'

import { freePort } from '../../test/process/free-port.ts'

const pollMs = 10

export class ExtenderStatus {
  /** To be in the extender's environment. */
  readonly env: { readonly JIT_ENI_STATUS_LISTEN: string }
  readonly #url: string

  static async onFreePort(): Promise<ExtenderStatus> {
    return new ExtenderStatus(await freePort())
  }

  private constructor(port: number) {
    this.env = { JIT_ENI_STATUS_LISTEN: `127.0.0.1:${port}` }
    this.#url = `http://127.0.0.1:${port}`
  }

  /** Resolves when its caches have synced; asked again and again, from before it listens. */
  async ready(signal?: AbortSignal): Promise<void> {
    for (;;) {
      const response = await fetch(`${this.#url}/readyz`).catch(() => undefined)
      await response?.body?.cancel()
      if (response?.status === 200) return
      await delay(pollMs, undefined, signal && { signal })
    }
  }

  /** A sample without labels. */
  async metric(name: string): Promise<number> {
    const page = await (await fetch(`${this.#url}/metrics`)).text()
    const value = new RegExp(`^${name} ([0-9.e+-]+)$`, 'm').exec(page)?.[1]
    if (value === undefined) throw new Error(`the extender has no metric ${name}`)
    return Number(value)
  }
}
