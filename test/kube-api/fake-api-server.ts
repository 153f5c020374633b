// ApiDouble over real HTTP on the loopback, for the real client.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { ApiDouble, Disconnected, isWatch } from './api-double.ts'
import { Refusal, statusOf } from './refusal.ts'
import type { ApiRequest } from './request.ts'

export class FakeApiServer extends ApiDouble {
  readonly #server = createServer((message, response) => void this.#answer(message, response))
  #directory = ''

  static async start(): Promise<FakeApiServer> {
    const server = new FakeApiServer()
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    server.#directory = await mkdtemp(join(tmpdir(), 'jit-eni-api-'))
    await writeFile(server.kubeconfig, JSON.stringify(kubeconfigFor(server.url)))
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** A file for `new Cluster(file)`. */
  get kubeconfig(): string {
    return join(this.#directory, 'kubeconfig')
  }

  async stop(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await readRequest(message)
    if (request === undefined) return
    try {
      if (isWatch(request)) this.#serveWatch(request, response)
      else send(response, request.method === 'POST' ? 201 : 200, this.perform(request))
    } catch (error) {
      if (error instanceof Disconnected) return void response.destroy()
      const refusal = error instanceof Refusal ? error : internalError(error)
      send(response, refusal.code, statusOf(refusal))
    }
  }

  #serveWatch(request: ApiRequest, response: ServerResponse): void {
    response.setHeader('content-type', 'application/json')
    const close = this.watch(request, {
      event: (event) => response.write(`${JSON.stringify(event)}\n`),
      end: (how) => (how === 'reset' ? response.destroy() : response.end()),
    })
    response.once('close', close)
    // The client is to know that its watch is open, before there is anything to tell.
    if (!response.headersSent) response.flushHeaders()
  }
}

/** Undefined when the client went away before it had said all. */
async function readRequest(message: IncomingMessage): Promise<ApiRequest | undefined> {
  const body = await text(message).catch(() => undefined)
  if (body === undefined) return undefined
  const url = new URL(message.url ?? '/', 'http://localhost')
  return {
    method: message.method ?? '',
    path: url.pathname,
    query: url.searchParams,
    contentType: message.headers['content-type'] ?? '',
    body: body === '' ? undefined : JSON.parse(body),
  }
}

function internalError(error: unknown): Refusal {
  return new Refusal(500, 'InternalError', error instanceof Error ? (error.stack ?? '') : String(error))
}

function send(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function kubeconfigFor(server: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'fake',
    clusters: [{ name: 'fake', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'fake', user: {} }],
    contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
  }
}
