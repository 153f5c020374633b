// What a row of the behaviour table works with: some API server, names that no other row uses, and short words for requests.
import assert from 'node:assert/strict'

import { apiVersion } from '../../../src/api/names.ts'
import type { KubeClient, RequestOptions } from '../../../src/kube/cluster.ts'
import { KubeError } from '../../../src/kube/kube-error.ts'
import { attachmentPath, attachmentsPath, nodeENIPath, nodeENIsPath, podPath } from '../../../src/kube/resource.ts'
import type { JsonObject } from '../json.ts'
import type { KubeObject } from '../resources.ts'

export interface ServerUnderTest {
  readonly client: KubeClient
  /** Afterwards a watch from a version of before is too old. */
  readonly forgetHistory: () => Promise<void>
}

export interface Behaviour {
  readonly name: string
  readonly holds: (bench: Bench) => Promise<void>
}

export interface Event {
  readonly type: string
  readonly object: KubeObject & { readonly code?: number; readonly reason?: string }
}

export const namespace = 'default'
export const pods = `/api/v1/namespaces/${namespace}/pods`
/** A finalizer of nobody. */
export const hold = 'test.example.com/hold'
export const secondHold = 'test.example.com/second-hold'
export const attachmentSpec = { nodeENI: 'upf', nodeName: 'node-1', instanceID: 'i-1' }
export const nodeENISpec = { nodeSelector: { a: 'b' }, subnetIDs: ['subnet-1'], securityGroupIDs: ['sg-1'] }
export const claim = { namespace: 'cnf', name: 'upf-0', uid: 'uid-0' }

type Method = Parameters<KubeClient['request']>[0]

export class Bench {
  readonly #server: ServerUnderTest
  readonly #row: number
  #names = 0

  constructor(server: ServerUnderTest, row: number) {
    this.#server = server
    this.#row = row
  }

  name(): string {
    return `row-${this.#row}-${++this.#names}`
  }

  request(method: Method, path: string, options: RequestOptions = {}): Promise<KubeObject> {
    return this.#server.client.request<KubeObject>(method, path, options)
  }

  /** The request is answered with this refusal. */
  async refuses(code: number, reason: string, request: Promise<unknown>): Promise<void> {
    const outcome = await request.then(
      () => 'it was done',
      (error: unknown) => error,
    )
    assert.ok(outcome instanceof KubeError, String(outcome))
    assert.deepEqual([outcome.code, outcome.reason], [code, reason], outcome.message)
  }

  async gone(path: string): Promise<void> {
    await this.refuses(404, 'NotFound', this.request('GET', path))
  }

  createAttachment(spec: JsonObject = {}, metadata: JsonObject = {}): Promise<KubeObject> {
    return this.request('POST', attachmentsPath, { body: this.attachment(spec, metadata) })
  }

  attachment(spec: JsonObject = {}, metadata: JsonObject = {}): object {
    const kind = 'ENIAttachment'
    return { apiVersion, kind, metadata: { name: this.name(), ...metadata }, spec: { ...attachmentSpec, ...spec } }
  }

  createNodeENI(spec: JsonObject = {}): Promise<KubeObject> {
    const body = { apiVersion, kind: 'NodeENI', metadata: { name: this.name() }, spec: { ...nodeENISpec, ...spec } }
    return this.request('POST', nodeENIsPath, { body })
  }

  /** A pod that no scheduler looks at. */
  createPod(spec: JsonObject = {}, metadata: JsonObject = {}): Promise<KubeObject> {
    const containers = [{ name: 'main', image: 'none' }]
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: this.name(), ...metadata },
      spec: { schedulerName: 'nobody', containers, ...spec },
    }
    return this.request('POST', pods, { body })
  }

  bind(pod: KubeObject, nodeName: string, metadata: JsonObject = {}): Promise<KubeObject> {
    const target = { apiVersion: 'v1', kind: 'Node', name: nodeName }
    const body = { apiVersion: 'v1', kind: 'Binding', metadata: { name: pod.metadata.name, ...metadata }, target }
    return this.request('POST', `${pathOf(pod)}/binding`, { body })
  }

  merge(path: string, body: object, fieldManager = 'merger'): Promise<KubeObject> {
    return this.request('PATCH', path, { as: 'merge', body, query: { fieldManager } })
  }

  jsonPatch(path: string, ...body: readonly object[]): Promise<KubeObject> {
    return this.request('PATCH', path, { as: 'jsonPatch', body })
  }

  /** Server-side apply to the object itself. */
  apply(manager: string, object: KubeObject, fields: JsonObject, force = false): Promise<KubeObject> {
    return this.#apply(manager, pathOf(object), object, fields, force)
  }

  applyStatus(manager: string, object: KubeObject, status: JsonObject, force = false): Promise<KubeObject> {
    return this.#apply(manager, `${pathOf(object)}/status`, object, { status }, force)
  }

  #apply(manager: string, path: string, of: KubeObject, fields: JsonObject, force: boolean): Promise<KubeObject> {
    const { apiVersion: version, kind, metadata } = of
    const body = {
      apiVersion: version,
      kind,
      ...fields,
      metadata: { name: metadata.name, ...(fields['metadata'] as object) },
    }
    return this.request('PATCH', path, { as: 'apply', body, query: { fieldManager: manager, force } })
  }

  read(object: KubeObject): Promise<KubeObject> {
    return this.request('GET', pathOf(object))
  }

  async list(path: string, query: RequestOptions['query'] = {}): Promise<Listed> {
    return this.#server.client.request<Listed>('GET', path, { query })
  }

  /** The next so many events, after which the watch is given up. */
  async events(path: string, count: number, query: RequestOptions['query'] = {}): Promise<Event[]> {
    const events: Event[] = []
    for await (const event of this.lines(path, query, AbortSignal.timeout(30_000))) {
      events.push(event)
      if (events.length === count) return events
    }
    return events
  }

  /** All events until the server ends the watch. */
  async eventsToTheEnd(path: string, query: RequestOptions['query'] = {}): Promise<Event[]> {
    return this.events(path, Infinity, query)
  }

  lines(path: string, query: RequestOptions['query'], signal: AbortSignal): AsyncGenerator<Event> {
    return this.#server.client.lines(path, { query: { watch: true, ...query }, signal })
  }

  async forgetHistory(): Promise<void> {
    await this.#server.forgetHistory()
  }
}

export interface Listed {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
  readonly items: readonly KubeObject[]
}

export function pathOf({ kind, metadata }: KubeObject): string {
  if (kind === 'ENIAttachment') return attachmentPath(metadata.name)
  if (kind === 'NodeENI') return nodeENIPath(metadata.name)
  if (kind === 'Node') return `/api/v1/nodes/${metadata.name}`
  return podPath(metadata.namespace ?? namespace, metadata.name)
}

export const versionOf = ({ metadata }: KubeObject) => metadata.resourceVersion
export const namesOf = (objects: readonly KubeObject[]) => objects.map(({ metadata }) => metadata.name)
