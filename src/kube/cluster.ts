// The one door to the API server: client-node's credentials and HTTP, one pooled connection set, deadlines, plain errors.
// The generated API classes are not used: they take no AbortSignal, open a TLS connection per call, and know no CRDs.
import { HttpMethod, IsomorphicFetchHttpLibrary, KubeConfig, RequestContext } from '@kubernetes/client-node'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'

import { SettingsError } from '../process/settings.ts'
import { KubeError } from './kube-error.ts'

const requestDeadlineMs = 15_000

export const contentTypes = {
  json: 'application/json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  jsonPatch: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | boolean>>
  readonly body?: object
  readonly as?: keyof typeof contentTypes
  readonly signal?: AbortSignal
}

/** Keeps the first dispatcher (undici connection pool) for all requests; the token file is still re-read by super. */
class PooledKubeConfig extends KubeConfig {
  #pool: ReturnType<RequestContext['getDispatcher']>

  override async applySecurityAuthentication(context: RequestContext): Promise<void> {
    await super.applySecurityAuthentication(context)
    this.#pool ??= context.getDispatcher()
    if (this.#pool !== undefined) context.setDispatcher(this.#pool)
  }
}

/** What controllers need of the API server, so that a test can put another door in the place of this one. */
export type KubeClient = Pick<Cluster, 'request' | 'lines'>

export class Cluster {
  readonly #config: PooledKubeConfig
  readonly #server: string
  readonly #http = new IsomorphicFetchHttpLibrary()

  /** From a kubeconfig file, or else as kubectl does: KUBECONFIG, ~/.kube/config, the pod's service account. */
  constructor(kubeconfigFile?: string) {
    this.#config = new PooledKubeConfig()
    load(this.#config, kubeconfigFile)
    const cluster = this.#config.getCurrentCluster()
    // Where it finds nothing, client-node means a cluster without TLS on this machine.
    if (cluster === null || cluster.server === 'http://localhost:8080')
      throw new SettingsError('no cluster to talk to: set KUBECONFIG, or run in a pod with a service account')
    this.#server = cluster.server.replace(/\/$/, '')
  }

  /** @throws KubeError for every answer that is not 2xx, and when no answer came within 15 s. */
  async request<T>(method: keyof typeof HttpMethod, path: string, options: RequestOptions = {}): Promise<T> {
    const deadline = AbortSignal.timeout(requestDeadlineMs)
    const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline])
    const response = await this.#send(method, path, options, signal)
    const text = await response.body.text().catch((error: unknown) => {
      throw new KubeError(`${method} ${path}`, 0, 'Unreachable', `answer was cut off: ${messageOf(error)}`, error)
    })
    if (response.httpStatusCode >= 300) throw statusError(`${method} ${path}`, response.httpStatusCode, text)
    return JSON.parse(text) as T
  }

  /** The lines of an open-ended answer (watch), parsed; ends when the server ends it or the signal aborts. */
  async *lines(path: string, options: RequestOptions & { readonly signal: AbortSignal }) {
    const response = await this.#send('GET', path, options, options.signal)
    if (response.httpStatusCode >= 300) {
      throw statusError(`GET ${path}`, response.httpStatusCode, await response.body.text())
    }
    const stream = response.body.stream()
    if (stream === null) return
    const body = Readable.fromWeb(stream as ReadableStream, { signal: options.signal })
    const lines = createInterface(body)
    // Who aborts and leaves in the same turn hears the abort no more; the lines tell it all the same.
    lines.on('error', () => undefined)
    try {
      for await (const line of lines) {
        if (line !== '') yield JSON.parse(line)
      }
    } finally {
      // A reader that stops half-way closes the lines only, not the connection.
      body.destroy()
    }
  }

  async #send(method: keyof typeof HttpMethod, path: string, options: RequestOptions, signal: AbortSignal) {
    const url = new URL(this.#server + path)
    for (const [key, value] of Object.entries(options.query ?? {})) url.searchParams.set(key, String(value))
    const context = new RequestContext(url.toString(), HttpMethod[method])
    context.setSignal(signal)
    context.setHeaderParam('Accept', 'application/json')
    if (options.body !== undefined) {
      context.setHeaderParam('Content-Type', contentTypes[options.as ?? 'json'])
      context.setBody(JSON.stringify(options.body))
    }
    try {
      await this.#config.applySecurityAuthentication(context)
      return await this.#http.send(context).toPromise()
    } catch (error) {
      const what = `no answer from ${this.#server}: ${messageOf(error)}`
      throw new KubeError(`${method} ${path}`, 0, 'Unreachable', what, error)
    }
  }
}

function load(config: KubeConfig, kubeconfigFile: string | undefined): void {
  try {
    if (kubeconfigFile === undefined) config.loadFromDefault()
    else config.loadFromFile(kubeconfigFile)
  } catch (error) {
    throw new SettingsError(`KUBECONFIG: ${messageOf(error)}`, { cause: error })
  }
}

function statusError(tried: string, code: number, text: string): KubeError {
  try {
    const status = JSON.parse(text) as { reason?: string; message?: string }
    return new KubeError(tried, code, status.reason ?? '', status.message ?? text)
  } catch {
    return new KubeError(tried, code, '', text.slice(0, 500))
  }
}

/** undici says only "fetch failed"; the reason is in its cause. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
