// ApiDouble as the client of the controllers sees it, without HTTP: an answer takes a few turns of the microtask queue and nothing
// else, so that a test with its own clock decides about all time that passes.
import { contentTypes, type KubeClient, type RequestOptions } from '../../src/kube/cluster.ts'
import { KubeError } from '../../src/kube/kube-error.ts'

import { type ApiDouble, Disconnected } from './api-double.ts'
import { copyOf } from './json.ts'
import { Refusal } from './refusal.ts'
import type { ApiRequest } from './request.ts'
import type { WatchEvent } from './watch.ts'

type Method = Parameters<KubeClient['request']>[0]

export class InProcessCluster implements KubeClient {
  readonly #api: ApiDouble

  constructor(api: ApiDouble) {
    this.#api = api
  }

  /** @throws KubeError as Cluster does. Aborted while it is under way, it may have been done: nobody knows. */
  async request<T>(method: Method, path: string, options: RequestOptions = {}): Promise<T> {
    const tried = `${method} ${path}`
    const request = requestOf(method, path, options)
    await onTheWay(tried, options.signal)
    const answer = translated(tried, () => copyOf(this.#api.perform(request)))
    await onTheWay(tried, options.signal)
    return answer as T
  }

  async *lines(path: string, options: RequestOptions & { readonly signal: AbortSignal }) {
    const tried = `GET ${path}`
    const request = requestOf('GET', path, options)
    await onTheWay(tried, options.signal)
    const lines = new LineQueue(tried)
    const close = translated(tried, () => this.#api.watch(request, lines))
    const abort = () => lines.fail(options.signal.reason)
    options.signal.addEventListener('abort', abort)
    try {
      yield* lines.read()
    } finally {
      options.signal.removeEventListener('abort', abort)
      close()
    }
  }
}

/** What the watch has said and nobody has read yet. */
class LineQueue {
  readonly #tried: string
  readonly #lines: object[] = []
  #end: { readonly error: unknown } | 'closed' | undefined
  #changed = Promise.withResolvers<void>()

  constructor(tried: string) {
    this.#tried = tried
  }

  event({ type, object }: WatchEvent): void {
    this.#lines.push({ type, object: copyOf(object) })
    this.#changed.resolve()
  }

  end(how: 'reset' | 'closed'): void {
    if (how === 'reset') this.fail(new Error('aborted'))
    else this.#finish('closed')
  }

  /** What was not read until now is lost. */
  fail(cause: unknown): void {
    const why = cause instanceof Error ? cause.message : String(cause)
    this.#finish({ error: new KubeError(this.#tried, 0, 'Unreachable', `answer was cut off: ${why}`, cause) })
  }

  async *read(): AsyncGenerator<object> {
    for (;;) {
      if (this.#end !== undefined && this.#end !== 'closed') throw this.#end.error
      const line = this.#lines.shift()
      if (line !== undefined) yield line
      else if (this.#end === 'closed') return
      else await this.#change()
    }
  }

  #finish(end: { readonly error: unknown } | 'closed'): void {
    this.#end ??= end
    this.#changed.resolve()
  }

  async #change(): Promise<void> {
    await this.#changed.promise
    this.#changed = Promise.withResolvers<void>()
  }
}

function requestOf(method: Method, path: string, { query = {}, body, as = 'json' }: RequestOptions): ApiRequest {
  const pairs = Object.entries(query).map(([key, value]): [string, string] => [key, String(value)])
  return {
    method,
    path,
    query: new URLSearchParams(pairs),
    contentType: body === undefined ? '' : contentTypes[as],
    body: body && copyOf(body),
  }
}

/** The other side takes its turn; meanwhile the signal may abort. */
async function onTheWay(tried: string, signal: AbortSignal | undefined): Promise<void> {
  await Promise.resolve()
  if (signal?.aborted === true) throw unanswered(tried, signal.reason)
}

function translated<T>(tried: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (error instanceof Refusal) throw new KubeError(tried, error.code, error.reason, error.message)
    if (error instanceof Disconnected) throw unanswered(tried, error)
    throw error
  }
}

function unanswered(tried: string, cause: unknown): KubeError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new KubeError(tried, 0, 'Unreachable', `no answer from the API double: ${why}`, cause)
}
