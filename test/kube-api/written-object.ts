// What of the object in a request may get into the one that is stored, and in whose name.
import type { Manager } from './field-owners.ts'
import type { NewObject, ObjectStore } from './object-store.ts'
import { badRequest, conflict, invalid } from './refusal.ts'
import type { ApiRequest, Body } from './request.ts'
import { keyOf, type KubeObject, type Meta, type Target } from './resources.ts'

export function newObject(store: ObjectStore, target: Target, { status, ...rest }: Body): NewObject {
  const namespace = target.namespace === undefined ? {} : { namespace: target.namespace }
  const isKept = status !== undefined && store.resource.status !== 'is dropped'
  return { ...rest, ...(isKept && { status }), metadata: { ...rest.metadata, ...namespace } }
}

export function updater({ subresource }: Target, { query }: ApiRequest): Manager {
  return { name: query.get('fieldManager') ?? 'unknown', operation: 'Update', subresource }
}

export function checkName(target: Target, name: string | undefined): void {
  if (name !== undefined && name !== target.name)
    throw badRequest(`the name of the object (${name}) does not match the name on the URL (${target.name})`)
}

/** @param given metadata after a patch, or in an application: what it does not name is not compared. */
export function checkIdentity(store: ObjectStore, target: Target, before: KubeObject, given: Partial<Meta>): void {
  checkName(target, given.name)
  const { uid, resourceVersion } = before.metadata
  if ((given.resourceVersion ?? resourceVersion) !== resourceVersion) throw conflict(keyOf(before.metadata))
  // The status strategy of a custom resource puts the old metadata back before anything compares it.
  if (target.subresource === 'status' && store.resource.checked !== undefined) return
  if ((given.uid ?? uid) !== uid) throw invalid(`metadata.uid: Invalid value: ${given.uid}: field is immutable`)
}

/** A write to the object leaves its status alone, and one to its status leaves all else. */
export function written(store: ObjectStore, target: Target, before: KubeObject, after: KubeObject): KubeObject {
  const { status, ...rest } = after
  const statusOf = (object: KubeObject) => (object['status'] === undefined ? {} : { status: object['status'] })
  if (target.subresource === 'status') return { ...before, status }
  const { apiVersion, kind } = before
  const isField = store.resource.status === 'is a field like others'
  return { ...rest, apiVersion, kind, metadata: after.metadata, ...statusOf(isField ? after : before) }
}
