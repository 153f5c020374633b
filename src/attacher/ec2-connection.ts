// One AWS SDK client for all calls to EC2: each waits for its turn, is timed, and fails as an Ec2Error. The SDK tries once: what
// may be tried again, and after what look, differs from step to step.
import { EC2Client, type EC2ClientConfig } from '@aws-sdk/client-ec2'

import type { Clock } from '../process/clock.ts'
import type { Ec2Action } from './ec2-action.ts'
import { Ec2Error, isEc2, translateEc2Error } from './ec2-error.ts'
import type { Ec2Gate } from './ec2-gate.ts'
import type { Ec2Limiter, Urgency } from './ec2-limiter.ts'

/** The SDK has no request timeout by default. */
export const requestTimeoutMs = 20_000
/** A call that EC2 refuses for so long as one too many fails, so that the one who waits hears why. */
const patienceMs = 60_000

export interface Ec2Observer {
  /** One try: the EC2 error code or `ok`, and how long it took. */
  called(action: string, outcome: string, seconds: number): void
  waited(action: string, urgency: Urgency, seconds: number): void
  throttled(action: string): void
  /** It is made again after a throttle. */
  retried(action: string): void
}

export interface Ec2ConnectionOptions {
  readonly limiter: Ec2Limiter
  readonly gate: Ec2Gate
  readonly clock: Clock
  readonly observer: Ec2Observer
  /** Connections at the same time. */
  readonly concurrency: number
  /** In place of what the SDK finds in its surroundings, and of HTTP. */
  readonly client?: EC2ClientConfig
}

export class Ec2Connection {
  readonly #client: EC2Client
  readonly #options: Ec2ConnectionOptions

  /** Region, credentials and endpoint (AWS_ENDPOINT_URL) come from the SDK's own chain. */
  constructor(options: Ec2ConnectionOptions) {
    const agent = { maxSockets: options.concurrency }
    const http = {
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    }
    this.#client = new EC2Client({ requestHandler: http, ...options.client, maxAttempts: 1 })
    this.#options = options
  }

  /** @throws when no region is set. Credentials may come later: until then each call says that there are none. */
  async checkRegion(): Promise<void> {
    await this.#client.config.region()
  }

  /** @throws Ec2Error, or the signal's reason when it aborts before the call was made. */
  async call<T>(
    action: Ec2Action,
    urgency: Urgency,
    signal: AbortSignal,
    send: (client: EC2Client) => Promise<T>,
  ): Promise<T> {
    const { limiter, gate, clock, observer } = this.#options
    let refusedAt: number | undefined
    for (;;) {
      gate.check(action)
      const askedAt = clock.monotonic()
      const tryNow = () => {
        observer.waited(action, urgency, (clock.monotonic() - askedAt) / 1000)
        if (refusedAt !== undefined) observer.retried(action)
        return this.#try(action, send)
      }
      try {
        // Others may have found out while this one waited for its turn.
        return await limiter.run(action, urgency, signal, () => gate.run(action, tryNow))
      } catch (error) {
        if (!isEc2(error, 'Throttled')) throw error
        limiter.refused(action)
        observer.throttled(action)
        // The wait for its first turn is ours, and says nothing of EC2.
        refusedAt ??= clock.monotonic()
        if (clock.monotonic() - refusedAt > patienceMs) throw error
      }
    }
  }

  async #try<T>(action: Ec2Action, send: (client: EC2Client) => Promise<T>): Promise<T> {
    const { clock, observer } = this.#options
    const startedAt = clock.monotonic()
    let outcome = 'ok'
    try {
      return await send(this.#client)
    } catch (error) {
      const translated = error instanceof Ec2Error ? error : translateEc2Error(action, error)
      outcome = translated.code
      throw translated
    } finally {
      observer.called(action, outcome, (clock.monotonic() - startedAt) / 1000)
    }
  }
}
