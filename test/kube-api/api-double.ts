// A Kubernetes API server for tests, without a transport: pods (with binding and status), nodes, leases, events and our two kinds,
// kept in memory. What it does is written down in behaviour-table.ts, and the real API server is held to the same table.
// Does not model: authentication, admission, namespaces, defaults and validation of built-in kinds.
import { type Clock, realClock } from '../../src/process/clock.ts'

import { bound } from './binding.ts'
import { ListPages } from './list-pages.ts'
import { ObjectStore } from './object-store.ts'
import { notFound, Refusal } from './refusal.ts'
import type { ApiRequest } from './request.ts'
import {
  keyOf,
  type KubeObject,
  type Resource,
  type ResourceName,
  resources,
  type Target,
  targetOf,
} from './resources.ts'
import { Stamps } from './stamps.ts'
import { created, deleted, listOf, patched, replaced } from './verbs.ts'
import { Watch, type WatchListener } from './watch.ts'

/** `before`: the request is not done. `after`: it is, and the client does not know. */
export interface Disturbance {
  readonly when: 'before' | 'after'
  /** An HTTP status, or a connection that breaks without an answer. */
  readonly answer: number | 'reset'
}

/** No answer comes: the connection breaks. */
export class Disconnected extends Error {}

export interface ApiDoubleOptions {
  /** Stamps objects and delays watches. */
  readonly clock?: Pick<Clock, 'now' | 'after'>
}

export class ApiDouble {
  readonly #clock: Pick<Clock, 'now' | 'after'>
  readonly #stamps: Stamps
  readonly #stores: Readonly<Record<ResourceName, ObjectStore>>
  readonly #pages = new ListPages()
  readonly #watches = new Set<Watch>()
  /** Every request that came, watches included, in order. */
  readonly requests: ApiRequest[] = []
  /** Asked before each request; what it answers happens to that request. */
  disturb: (request: ApiRequest) => Disturbance | undefined = () => undefined
  /** How long the events of all watches take from now on. */
  watchDelayMs = 0

  constructor({ clock = realClock }: ApiDoubleOptions = {}) {
    this.#clock = clock
    this.#stamps = new Stamps(clock)
    const stores = Object.entries(resources).map(([name, resource]: [string, Resource]) => [
      name,
      new ObjectStore(resource, this.#stamps),
    ])
    this.#stores = Object.fromEntries(stores) as Record<ResourceName, ObjectStore>
  }

  /** The objects of one resource, to read, write and watch as nobody's client. */
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

  /** Breaks all watches, as a restarted API server does; events that are on their way are lost. */
  breakWatches(): void {
    for (const watch of this.#watches) watch.break()
  }

  /** The next events of each open watch are lost, and with the last of them it breaks. */
  dropEvents(events: number): void {
    for (const watch of this.#watches) watch.loseNext(events)
  }

  /** As an API server that was restarted: a watch from before this moment gets 410. */
  forgetHistory(): void {
    for (const store of Object.values(this.#stores)) store.forgetHistory()
  }

  /** Does what any request but a watch asks for. @throws Refusal, or Disconnected. */
  perform(request: ApiRequest): object {
    const { target, disturbance } = this.#receive(request)
    if (disturbance?.when === 'before') strike(disturbance)
    const answer = this.#do(target, request)
    if (disturbance?.when === 'after') strike(disturbance)
    return answer
  }

  /** Serves a watch until it ends or the returned function is called. @throws Refusal, or Disconnected. */
  watch(request: ApiRequest, listener: WatchListener): () => void {
    const { target, disturbance } = this.#receive(request)
    if (disturbance?.when === 'before') strike(disturbance)
    const end = (how: 'reset' | 'closed') => {
      this.#watches.delete(watch)
      listener.end(how)
    }
    const options = {
      target,
      query: request.query,
      clock: this.#clock,
      delayMs: () => this.watchDelayMs,
      version: () => this.#stamps.version,
    }
    const watch = new Watch(this.store(target.resource), options, { event: (event) => listener.event(event), end })
    this.#watches.add(watch)
    watch.open()
    return () => {
      watch.close()
      this.#watches.delete(watch)
    }
  }

  #receive(request: ApiRequest): { target: Target; disturbance: Disturbance | undefined } {
    this.requests.push(request)
    const disturbance = this.disturb(request)
    const target = targetOf(request.path)
    if (target === undefined) throw notFound(request.path)
    return { target, disturbance }
  }

  #do(target: Target, request: ApiRequest): object {
    const store = this.store(target.resource)
    if (target.name === undefined) {
      if (request.method === 'GET') return listOf(store, target, request.query, this.#stamps.version, this.#pages)
      if (request.method === 'POST') return created(store, target, request)
      throw notAllowed(request)
    }
    const key = keyOf({ name: target.name, namespace: target.namespace })
    switch (request.method) {
      case 'GET':
        return store.get(key) ?? fail(notFound(`${store.resource.kind} ${key}`))
      case 'POST':
        if (target.subresource !== 'binding') throw notAllowed(request)
        bound(store, key, target, request)
        return { kind: 'Status', apiVersion: 'v1', status: 'Success', code: 201 }
      case 'PUT':
        return replaced(store, key, target, request)
      case 'PATCH':
        return patched(store, key, target, request)
      case 'DELETE':
        return deleted(store, key, target, request)
      default:
        throw notAllowed(request)
    }
  }
}

export function isWatch({ method, query }: ApiRequest): boolean {
  return method === 'GET' && query.get('watch') === 'true'
}

function strike({ answer }: Disturbance): never {
  if (answer === 'reset') throw new Disconnected('connection reset, as the test ordered')
  throw new Refusal(answer, 'Disturbed', 'as the test ordered')
}

function notAllowed({ method, path }: ApiRequest): Refusal {
  return new Refusal(405, 'MethodNotAllowed', `${method} ${path}`)
}

function fail(refusal: Refusal): never {
  throw refusal
}
