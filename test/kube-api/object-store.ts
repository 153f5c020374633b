// The objects of one resource with what the API server does to every write: uid, resource versions, generation, finalizers,
// preconditions, and the history that watches are served from. Nothing here knows HTTP.
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'

import { conflict, exists, gone, invalid, notFound } from './refusal.ts'
import { keyOf, type KubeObject, type Resource } from './resources.ts'

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubeObject
  readonly before: KubeObject | undefined
}

export interface Preconditions {
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
}

/** An object as a test or a client gives it: the server fills in the rest. */
export interface NewObject {
  readonly metadata: { readonly name?: string; readonly namespace?: string; readonly generateName?: string }
  readonly [field: string]: unknown
}

export class ObjectStore {
  readonly resource: Resource
  readonly #nextVersion: () => number
  readonly #objects = new Map<string, KubeObject>()
  readonly #listeners = new Set<(change: Change) => void>()
  #history: Change[] = []
  #forgottenUntil = 0

  /** All stores of a server share one counter of versions. */
  constructor(resource: Resource, nextVersion: () => number) {
    this.resource = resource
    this.#nextVersion = nextVersion
  }

  get(key: string): KubeObject | undefined {
    return this.#objects.get(key)
  }

  /** In order of keys, as the API server lists. */
  list(): KubeObject[] {
    return [...this.#objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object)
  }

  create(given: NewObject): KubeObject {
    const { apiVersion, kind } = this.resource
    const generated = `${given.metadata.generateName}${randomUUID().slice(0, 5)}`
    const object: KubeObject = {
      ...structuredClone(given),
      apiVersion,
      kind,
      metadata: {
        creationTimestamp: `${new Date().toISOString().slice(0, 19)}Z`,
        ...given.metadata,
        name: given.metadata.name ?? generated,
        uid: randomUUID(),
        generation: 1,
        resourceVersion: '',
      },
    }
    const key = keyOf(object.metadata)
    if (this.#objects.has(key)) throw exists(`${kind} ${key}`)
    this.#check(object, undefined)
    return this.#record('ADDED', object, undefined)
  }

  /** Writes what `change` makes of the object; a write that changes nothing makes no new version. */
  update(key: string, change: (object: KubeObject) => unknown, only: Preconditions = {}): KubeObject {
    const before = this.#existing(key, only)
    const after = structuredClone(change(structuredClone(before))) as KubeObject
    const {
      name,
      namespace,
      uid,
      resourceVersion,
      generation = 1,
      creationTimestamp,
      deletionTimestamp,
    } = before.metadata
    const isNewSpec = !isDeepStrictEqual(after['spec'], before['spec'])
    after.metadata = {
      ...after.metadata,
      name,
      uid,
      resourceVersion,
      generation: isNewSpec ? generation + 1 : generation,
      ...(namespace !== undefined && { namespace }),
      ...(creationTimestamp !== undefined && { creationTimestamp }),
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
    }
    if (after.metadata.finalizers?.length === 0) delete after.metadata.finalizers
    if (isDeepStrictEqual(after, before)) return before
    this.#check(after, before)
    const ends = deletionTimestamp !== undefined && after.metadata.finalizers === undefined
    return this.#record(ends ? 'DELETED' : 'MODIFIED', after, before)
  }

  /** With finalizers the object stays until the last of them is gone. */
  delete(key: string, only: Preconditions = {}): KubeObject {
    const before = this.#existing(key, only)
    if (before.metadata.finalizers === undefined) return this.#record('DELETED', structuredClone(before), before)
    if (before.metadata.deletionTimestamp !== undefined) return before
    const after = structuredClone(before)
    after.metadata.deletionTimestamp = `${new Date().toISOString().slice(0, 19)}Z`
    after.metadata.generation = (after.metadata.generation ?? 1) + 1
    return this.#record('MODIFIED', after, before)
  }

  /** Calls the listener after each change, until the returned function is called. */
  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** @throws 410 when the history does not go back so far. */
  changesSince(resourceVersion: number): Change[] {
    if (resourceVersion < this.#forgottenUntil) throw gone()
    return this.#history.filter(({ object }) => Number(object.metadata.resourceVersion) > resourceVersion)
  }

  /** As etcd's compaction does: watches from before this moment get 410. */
  forgetHistory(): void {
    this.#forgottenUntil = this.#nextVersion()
    this.#history = []
  }

  #existing(key: string, { uid, resourceVersion }: Preconditions): KubeObject {
    const object = this.#objects.get(key)
    const what = `${this.resource.kind} ${key}`
    if (object === undefined) throw notFound(what)
    if (uid !== undefined && uid !== object.metadata.uid) throw conflict(what)
    if (resourceVersion !== undefined && resourceVersion !== object.metadata.resourceVersion) throw conflict(what)
    return object
  }

  #check(after: KubeObject, before: KubeObject | undefined): void {
    const specOf = (object: KubeObject | undefined) => object?.['spec'] as Record<string, unknown> | undefined
    for (const field of before === undefined ? [] : (this.resource.immutable ?? [])) {
      if (!isDeepStrictEqual(specOf(after)?.[field], specOf(before)?.[field]))
        throw invalid(`spec.${field} is immutable`)
    }
    const problem = this.resource.invalid?.({ ...after, metadata: { ...after.metadata, resourceVersion: '0' } })
    if (problem !== undefined) throw invalid(problem)
  }

  #record(type: Change['type'], object: KubeObject, before: KubeObject | undefined): KubeObject {
    object.metadata.resourceVersion = String(this.#nextVersion())
    const key = keyOf(object.metadata)
    if (type === 'DELETED') this.#objects.delete(key)
    else this.#objects.set(key, object)
    const change = { type, object, before }
    this.#history.push(change)
    for (const listener of this.#listeners) listener(change)
    return object
  }
}
