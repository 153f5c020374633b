// The objects of one resource with what the API server does to every write: uid, resource versions, generation, finalizers,
// preconditions, owners of fields, and the history that watches are served from. Nothing here knows of requests.
import { isDeepStrictEqual } from 'node:util'

import { afterUpdate, type FieldOwners, isSameOwners, type Manager, nobody } from './field-owners.ts'
import { settled } from './json.ts'
import { conflict, exists, gone, invalid, notFound } from './refusal.ts'
import { keyOf, type KubeObject, type Meta, type Resource } from './resources.ts'
import type { Stamps } from './stamps.ts'

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  /** Of a deleted object the last state, with the version of its end. */
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

/** Who owns which fields after a write. */
export type Owning = (owners: FieldOwners, before: KubeObject | undefined, after: KubeObject) => FieldOwners

interface Stored {
  readonly object: KubeObject
  readonly owners: FieldOwners
}

/** A write by a test itself. */
const byHand: Manager = { name: 'test', operation: 'Update', subresource: undefined }

export function ownedBy(manager: Manager): Owning {
  return (owners, before, after) => afterUpdate(owners, manager, before ?? {}, after)
}

export class ObjectStore {
  readonly resource: Resource
  readonly #stamps: Stamps
  readonly #objects = new Map<string, Stored>()
  readonly #listeners = new Set<(change: Change) => void>()
  #history: Change[] = []
  #forgottenUntil = 0

  /** All stores of a server share its stamps, and so one counter of versions. */
  constructor(resource: Resource, stamps: Stamps) {
    this.resource = resource
    this.#stamps = stamps
  }

  get(key: string): KubeObject | undefined {
    return this.#objects.get(key)?.object
  }

  ownersOf(key: string): FieldOwners {
    return this.#objects.get(key)?.owners ?? nobody
  }

  /** In order of keys, as the API server lists. */
  list(): KubeObject[] {
    return [...this.#objects].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { object }]) => object)
  }

  create(given: NewObject, owning: Owning = ownedBy(byHand)): KubeObject {
    const { apiVersion, kind, hasGeneration = false } = this.resource
    const metadata = {
      creationTimestamp: this.#stamps.time(),
      ...withoutEmptyFields(given.metadata),
      name: given.metadata.name ?? `${given.metadata.generateName}${this.#stamps.nameSuffix()}`,
      uid: this.#stamps.uid(),
      ...(hasGeneration && { generation: 1 }),
      resourceVersion: '',
    }
    const object = this.#checked({ ...given, apiVersion, kind, metadata }, undefined)
    const key = keyOf(metadata)
    if (this.#objects.has(key)) throw exists(`${kind} ${key}`)
    return this.#record('ADDED', object, undefined, owning(nobody, undefined, object))
  }

  /** Writes what `change` makes of the object; a write that changes nothing makes no new version. */
  update(
    key: string,
    change: (object: KubeObject) => unknown,
    only: Preconditions = {},
    owning: Owning = ownedBy(byHand),
  ): KubeObject {
    const { object: before, owners } = this.#existing(key, only)
    const changed = change(before) as KubeObject
    const metadata = metadataAfter(changed.metadata, before.metadata)
    const after = this.#checked({ ...changed, metadata }, before)
    const nextOwners = owning(owners, before, after)
    if (isDeepStrictEqual(after, before) && isSameOwners(nextOwners, owners)) return before
    if (isToEnd(after)) {
      this.#end(before)
      return after
    }
    return this.#record('MODIFIED', withGeneration(after, before), before, nextOwners)
  }

  /** As one that was stored before its CRD became stricter: nothing looks at what is written. */
  updateUnchecked(key: string, change: (object: KubeObject) => KubeObject): KubeObject {
    const { object: before, owners } = this.#existing(key, {})
    return this.#record('MODIFIED', withGeneration(settled(change(before)), before), before, owners)
  }

  /** With finalizers the object stays until the last of them is gone. Undefined: it is gone already. */
  delete(key: string, only: Preconditions = {}): KubeObject | undefined {
    const { object: before } = this.#existing(key, only)
    if (before.metadata.finalizers !== undefined) return this.markDeleted(key, 0)
    this.#end(before)
    return undefined
  }

  /** Only says that it is to go, and when. */
  markDeleted(key: string, graceSeconds: number, only: Preconditions = {}): KubeObject {
    const { object: before, owners } = this.#existing(key, only)
    const { generation, deletionGracePeriodSeconds: granted = Infinity } = before.metadata
    if (granted <= graceSeconds) return before
    const metadata = {
      ...before.metadata,
      deletionTimestamp: this.#stamps.time(graceSeconds),
      deletionGracePeriodSeconds: graceSeconds,
      ...(generation !== undefined && { generation: generation + 1 }),
    }
    return this.#record('MODIFIED', { ...before, metadata }, before, owners)
  }

  /** Calls the listener after each change, until the returned function is called. */
  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** @throws 410 when the history does not go back so far. */
  changesSince(resourceVersion: number): Change[] {
    if (resourceVersion < this.#forgottenUntil) throw gone(resourceVersion, this.#forgottenUntil)
    const first = this.#history.findLastIndex(({ object }) => versionOf(object) <= resourceVersion) + 1
    return this.#history.slice(first)
  }

  /** As an API server that was restarted: a watch from before this moment gets 410. */
  forgetHistory(): void {
    this.#forgottenUntil = this.#stamps.nextVersion()
    this.#history = []
  }

  #existing(key: string, { uid, resourceVersion }: Preconditions): Stored {
    const stored = this.#objects.get(key)
    const what = `${this.resource.kind} ${key}`
    if (stored === undefined) throw notFound(what)
    const { metadata } = stored.object
    if (uid !== undefined && uid !== metadata.uid) throw conflict(what)
    if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) throw conflict(what)
    return stored
  }

  #checked(after: KubeObject, before: KubeObject | undefined): KubeObject {
    const object = settled(after)
    return settled(this.resource.checked?.(object, before) ?? object)
  }

  #end(before: KubeObject): void {
    this.#record('DELETED', before, before, nobody)
  }

  #record(type: Change['type'], state: KubeObject, before: KubeObject | undefined, owners: FieldOwners): KubeObject {
    const resourceVersion = String(this.#stamps.nextVersion())
    const object = settled({ ...state, metadata: { ...state.metadata, resourceVersion } })
    const key = keyOf(object.metadata)
    if (type === 'DELETED') this.#objects.delete(key)
    else this.#objects.set(key, { object, owners })
    const change = { type, object, before }
    this.#history.push(change)
    for (const listener of this.#listeners) listener(change)
    return object
  }
}

/** What no client writes. */
const serversOwn = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
] as const

function metadataAfter(given: Meta, before: Meta): Meta {
  if (given === before) return before
  const own = Object.fromEntries(serversOwn.map((field) => [field, before[field]]))
  const added = given.finalizers?.find((finalizer) => before.finalizers?.includes(finalizer) !== true)
  if (before.deletionTimestamp !== undefined && added !== undefined)
    throw invalid(`metadata.finalizers: no new finalizers can be added if the object is being deleted: ${added}`)
  return { ...withoutEmptyFields(given), ...own } as unknown as Meta
}

/** No labels are left out like no finalizers (omitempty of metav1.ObjectMeta). */
function withoutEmptyFields(metadata: object): object {
  const isEmpty = (value: unknown) =>
    value === null || (typeof value === 'object' && Object.keys(value ?? {}).length === 0)
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => !isEmpty(value)))
}

/** Finalizers and the grace of a pod hold a deleted object. */
function isToEnd({ metadata }: KubeObject): boolean {
  return metadata.deletionGracePeriodSeconds === 0 && metadata.finalizers === undefined
}

function withGeneration(after: KubeObject, before: KubeObject): KubeObject {
  const { generation } = before.metadata
  if (generation === undefined || isDeepStrictEqual(after['spec'], before['spec'])) return after
  return { ...after, metadata: { ...after.metadata, generation: generation + 1 } }
}

function versionOf({ metadata }: KubeObject): number {
  return Number(metadata.resourceVersion)
}
