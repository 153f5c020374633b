// A Kubernetes API server for tests, over real HTTP on the loopback: pods (with binding and status), nodes, leases, events and our
// two kinds, kept in memory. Lists in pages, watches, checks preconditions, honours finalizers, knows all four patches.
// Does not model: authentication, admission, defaults, CEL rules, graceful deletion (a deleted pod is gone at once).
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { ObjectStore } from './object-store.ts'
import { notFound, Refusal } from './refusal.ts'
import {
  keyOf,
  type KubeObject,
  type Resource,
  type ResourceName,
  resources,
  type Target,
  targetOf,
} from './resources.ts'
import { type ApiRequest, type Applied, bound, created, deleted, listOf, patched, replaced } from './verbs.ts'
import { serveWatch } from './watch.ts'

/** `before`: the request is not done. `after`: it is, and the client does not know. */
export interface Disturbance {
  readonly when: 'before' | 'after'
  /** An HTTP status, or a connection that breaks without an answer. */
  readonly answer: number | 'reset'
}

export class FakeApiServer {
  readonly #stores: Readonly<Record<ResourceName, ObjectStore>>
  readonly #applied: Applied = new Map()
  readonly #server = createServer((message, response) => void this.#answer(message, response))
  readonly #watches = new Set<ServerResponse>()
  #version = 0
  #directory = ''
  /** Every request that came, watches included, in order. */
  readonly requests: ApiRequest[] = []
  /** Asked before each request; what it answers happens to that request. */
  disturb: (request: ApiRequest) => Disturbance | undefined = () => undefined

  private constructor() {
    const next = () => ++this.#version
    const stores = Object.entries(resources).map(([name, resource]: [string, Resource]) => [
      name,
      new ObjectStore(resource, next),
    ])
    this.#stores = Object.fromEntries(stores) as Record<ResourceName, ObjectStore>
  }

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

  /** The objects of one resource, to read, write and watch without HTTP. */
  store(resource: ResourceName): ObjectStore {
    return this.#stores[resource]
  }

  /** Resolves with the first state of the object (undefined: it is not there) for which `is` says so. */
  until(
    resource: ResourceName,
    key: string,
    is: (object: KubeObject | undefined) => boolean,
  ): Promise<KubeObject | undefined> {
    const store = this.store(resource)
    const { promise, resolve } = Promise.withResolvers<KubeObject | undefined>()
    const look = () => {
      const object = store.get(key)
      if (!is(object)) return
      off()
      resolve(object)
    }
    const off = store.onChange(look)
    look()
    return promise
  }

  /** Breaks all watches, as a restarted API server does. */
  breakWatches(): void {
    for (const response of this.#watches) response.destroy()
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
    this.requests.push(request)
    const disturbance = this.disturb(request)
    try {
      const target = targetOf(request.path)
      if (target === undefined) throw notFound(request.path)
      if (disturbance?.when === 'before') return struck(response, disturbance.answer)
      if (request.method === 'GET' && request.query.get('watch') === 'true')
        return this.#watch(target, request, response)
      const answer = this.#perform(target, request)
      if (disturbance?.when === 'after') return struck(response, disturbance.answer)
      send(response, request.method === 'POST' ? 201 : 200, answer)
    } catch (error) {
      if (error instanceof Refusal) return refuse(response, error)
      refuse(response, new Refusal(500, 'InternalError', error instanceof Error ? (error.stack ?? '') : String(error)))
    }
  }

  #perform(target: Target, request: ApiRequest): object {
    const store = this.store(target.resource)
    if (target.name === undefined) {
      if (request.method === 'GET') return listOf(store, target, request.query, this.#version)
      if (request.method === 'POST') return created(store, target, request)
      throw notAllowed(request)
    }
    const key = keyOf({ name: target.name, namespace: target.namespace })
    switch (request.method) {
      case 'GET':
        return store.get(key) ?? fail(notFound(`${store.resource.kind} ${key}`))
      case 'POST':
        if (target.subresource !== 'binding') throw notAllowed(request)
        bound(store, key, request)
        return { kind: 'Status', apiVersion: 'v1', status: 'Success', code: 201 }
      case 'PUT':
        return replaced(store, key, target, request)
      case 'PATCH':
        return patched(store, key, target, request, this.#applied)
      case 'DELETE':
        return deleted(store, key, request)
      default:
        throw notAllowed(request)
    }
  }

  #watch(target: Target, request: ApiRequest, response: ServerResponse): void {
    serveWatch(this.store(target.resource), request.query, response)
    this.#watches.add(response)
    response.once('close', () => this.#watches.delete(response))
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

function struck(response: ServerResponse, answer: number | 'reset'): void {
  if (answer === 'reset') response.destroy()
  else refuse(response, new Refusal(answer, 'Disturbed', 'as the test ordered'))
}

function refuse(response: ServerResponse, { code, reason, message }: Refusal): void {
  send(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message })
}

function send(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function notAllowed({ method, path }: ApiRequest): Refusal {
  return new Refusal(405, 'MethodNotAllowed', `${method} ${path}`)
}

function fail(refusal: Refusal): never {
  throw refusal
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
