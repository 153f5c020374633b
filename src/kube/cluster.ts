// The one door to the API server: any request by its path, watches line by line, deadlines, plain errors.
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'

import { realClock } from '../process/clock.ts'
import { Connections } from './connections.ts'
import { KubeError } from './kube-error.ts'
import { clusterAccess } from './kubeconfig.ts'

const requestDeadlineMs = 15_000

export const contentTypes = {
  json: 'application/json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  jsonPatch: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | boolean>>
  readonly body?: object
  readonly as?: keyof typeof contentTypes
  readonly signal?: AbortSignal
}

/** What controllers need of the API server, so that a test can put another door in the place of this one. */
export type KubeClient = Pick<Cluster, 'request' | 'lines'>

export class Cluster {
  readonly #connections: Connections
  readonly #server: string

  /** From a kubeconfig file, or else as kubectl does: KUBECONFIG, ~/.kube/config, the pod's service account. */
  constructor(kubeconfigFile?: string) {
    const access = clusterAccess(kubeconfigFile, process.env)
    this.#server = access.server.origin
    this.#connections = new Connections(access, process.env, realClock)
  }

  /** @throws KubeError for every answer that is not 2xx, and when no answer came within 15 s. */
  async request<T>(method: Method, path: string, options: RequestOptions = {}): Promise<T> {
    const deadline = AbortSignal.timeout(requestDeadlineMs)
    const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline])
    const response = await this.#send('request', method, path, options, signal)
    const body = await text(response).catch((error: unknown) => {
      throw cutOff(`${method} ${path}`, error)
    })
    if (isRefusal(response)) throw statusError(`${method} ${path}`, response.statusCode ?? 0, body)
    return JSON.parse(body) as T
  }

  /**
   * The lines of an open-ended answer (watch), parsed; ends when the server ends it.
   * @throws KubeError when it is refused, breaks off, or the signal aborts.
   */
  async *lines(path: string, options: RequestOptions & { readonly signal: AbortSignal }) {
    const response = await this.#send('watch', 'GET', path, options, options.signal)
    if (isRefusal(response)) throw statusError(`GET ${path}`, response.statusCode ?? 0, await text(response))
    // A reader that stops half-way closes the connection with it.
    for await (const line of linesOf(response, `GET ${path}`)) if (line !== '') yield JSON.parse(line)
  }

  async #send(
    kind: 'request' | 'watch',
    method: Method,
    path: string,
    options: RequestOptions,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const query = new URLSearchParams()
    for (const [key, value] of Object.entries(options.query ?? {})) query.set(key, String(value))
    const sent = {
      method,
      path: query.size === 0 ? path : `${path}?${query.toString()}`,
      headers: {
        Accept: 'application/json',
        'User-Agent': 'jit-eni',
        ...(options.body !== undefined && { 'Content-Type': contentTypes[options.as ?? 'json'] }),
      },
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal,
    }
    try {
      return await this.#connections.send(kind, sent)
    } catch (error) {
      const what = `no answer from ${this.#server}: ${messageOf(error)}`
      throw new KubeError(`${method} ${path}`, 0, 'Unreachable', what, error)
    }
  }
}

async function* linesOf(response: IncomingMessage, tried: string): AsyncGenerator<string> {
  response.setEncoding('utf8')
  let rest = ''
  try {
    for await (const chunk of response as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      yield* lines
    }
  } catch (error) {
    throw cutOff(tried, error)
  }
  yield rest
}

/** Whatever is not 2xx; the API server redirects nobody. */
function isRefusal({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode >= 300
}

function statusError(tried: string, code: number, body: string): KubeError {
  try {
    const status = JSON.parse(body) as { reason?: string; message?: string }
    return new KubeError(tried, code, status.reason ?? '', status.message ?? body)
  } catch {
    return new KubeError(tried, code, '', body.slice(0, 500))
  }
}

function cutOff(tried: string, error: unknown): KubeError {
  return new KubeError(tried, 0, 'Unreachable', `answer was cut off: ${messageOf(error)}`, error)
}

/** An abort says only that it was one; the reason is in its cause. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
