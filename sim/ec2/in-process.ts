// The SDK's way to a simulated EC2 in the same process: no socket, so that no real time passes between a call and its answer
// and a virtual clock decides everything. Serialisation, signing and retries stay the SDK's own.
// Two things of the SDK still take real time: it reads its configuration files before a process's first call, and it waits
// between its own attempts (so `maxAttempts: 1` belongs to a virtual clock).

import { simulatedCredentials } from './credentials.ts'
import type { Ec2 } from './new-ec2.ts'
import type { Clock } from './state/clock.ts'
import type { Ec2Service, WireAnswer } from './wire/service.ts'

export interface InProcessOptions {
  /** As the SDK's `requestTimeout` with `throwOnRequestTimeout`, on the simulation's clock; without it a call waits for ever. */
  readonly requestTimeoutMs?: number
  /** Who calls, as the log of calls shows it. */
  readonly accessKeyId?: string
}

/** Configuration for a client: `new EC2Client({ ...inProcess(ec2), maxAttempts: 1 })`. */
export function inProcess({ service, state }: Ec2, options: InProcessOptions = {}) {
  const { accessKeyId = simulatedCredentials.accessKeyId, requestTimeoutMs } = options
  return {
    endpoint: 'http://ec2.simulated',
    region: state.region,
    credentials: { ...simulatedCredentials, accessKeyId },
    requestHandler: new InProcessHandler(service, state.clock, requestTimeoutMs),
  }
}

interface HttpRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}

interface HandlerOptions {
  /** The SDK's type also allows a form older than Node's own, which the SDK never makes itself. */
  readonly abortSignal?: unknown
  readonly requestTimeout?: number | undefined
}

interface HttpResponse {
  readonly statusCode: number
  readonly headers: Record<string, string>
  readonly body: Uint8Array
}

/** An HttpHandler as @smithy/types has it; its errors are those of NodeHttpHandler. */
class InProcessHandler {
  readonly metadata = { handlerProtocol: 'in-process' }
  readonly #service: Ec2Service
  readonly #clock: Clock
  readonly #requestTimeoutMs: number | undefined

  constructor(service: Ec2Service, clock: Clock, requestTimeoutMs: number | undefined) {
    this.#service = service
    this.#clock = clock
    this.#requestTimeoutMs = requestTimeoutMs
  }

  async handle(request: HttpRequest, options: HandlerOptions = {}): Promise<{ response: HttpResponse }> {
    const { requestTimeout: timeoutMs = this.#requestTimeoutMs } = options
    const abortSignal = options.abortSignal instanceof AbortSignal ? options.abortSignal : undefined
    if (abortSignal?.aborted === true) throw abortError()
    const answered = this.#service.handle({
      body: String(request.body),
      authorization: request.headers['authorization'],
    })

    const { promise, resolve, reject } = Promise.withResolvers<WireAnswer>()
    const abort = (): void => reject(abortError())
    abortSignal?.addEventListener('abort', abort)
    const cancelTimeout = timeoutMs && this.#clock.after(timeoutMs, () => reject(timeoutError(timeoutMs)))
    answered.then((answer) => answer === 'no-answer' || resolve(answer), reject)
    try {
      return { response: responseOf(await promise) }
    } finally {
      abortSignal?.removeEventListener('abort', abort)
      if (cancelTimeout) cancelTimeout()
    }
  }

  updateHttpClientConfig(): void {}

  httpHandlerConfigs(): object {
    return {}
  }

  destroy(): void {}
}

function responseOf(answer: WireAnswer): HttpResponse {
  if (typeof answer === 'string') throw resetError()
  const { status, contentType, document } = answer
  return { statusCode: status, headers: { 'content-type': contentType }, body: Buffer.from(document) }
}

function abortError(): Error {
  return Object.assign(new Error('Request aborted'), { name: 'AbortError' })
}

function resetError(): Error {
  return Object.assign(new Error('socket hang up'), { name: 'TimeoutError', code: 'ECONNRESET' })
}

function timeoutError(ms: number): Error {
  const message = `a request has exceeded the configured ${ms} ms requestTimeout.`
  return Object.assign(new Error(message), { name: 'TimeoutError', code: 'ETIMEDOUT' })
}
