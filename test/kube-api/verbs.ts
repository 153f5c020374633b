// What each HTTP verb does to the objects: reads with selectors and pages, creates, updates, patches, deletes, pods/binding.
import { fieldSelector } from './field-selector.ts'
import type { NewObject, ObjectStore } from './object-store.ts'
import { applyPatch, jsonPatch, mergePatch, strategicPatch } from './patch.ts'
import { conflict, invalid, notFound, Refusal } from './refusal.ts'
import { keyOf, type KubeObject, type Meta, type Target } from './resources.ts'

export interface ApiRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly contentType: string
  readonly body: unknown
}

type Body = Record<string, unknown> & { readonly metadata?: Partial<Meta> }

/** manager -> what it applied last, for each object by uid and subresource. */
export type Applied = Map<string, Map<string, unknown>>

export function listOf(store: ObjectStore, target: Target, query: URLSearchParams, version: number): object {
  const isSelected = fieldSelector(query.get('fieldSelector') ?? '')
  const after = query.get('continue') ?? ''
  const limit = Number(query.get('limit') ?? Infinity)
  const found = store
    .list()
    .filter(({ metadata }) => target.namespace === undefined || metadata.namespace === target.namespace)
    .filter((object) => isSelected(object) && keyOf(object.metadata) > after)
  const items = found.slice(0, limit)
  const last = items.at(-1)
  const next = items.length < found.length && last !== undefined ? { continue: keyOf(last.metadata) } : {}
  const { apiVersion, kind } = store.resource
  return { apiVersion, kind: `${kind}List`, metadata: { resourceVersion: String(version), ...next }, items }
}

export function created(store: ObjectStore, target: Target, request: ApiRequest): KubeObject {
  const body = request.body as NewObject & { spec?: unknown }
  const { status: _, ...rest } = body
  const namespace = target.namespace === undefined ? {} : { namespace: target.namespace }
  return store.create({ ...rest, metadata: { ...body.metadata, ...namespace } })
}

/** pods/binding: the scheduler's last word. */
export function bound(store: ObjectStore, key: string, request: ApiRequest): KubeObject {
  const body = request.body as Body & { target?: { name?: string } }
  return store.update(
    key,
    (pod) => {
      const spec = pod['spec'] as { nodeName?: string } | undefined
      if (spec?.nodeName !== undefined) throw conflict(`Pod ${key}: already assigned to node ${spec.nodeName}`)
      const bound_ = { ...pod, spec: { ...spec, nodeName: body.target?.name } }
      return strategicPatch(bound_, { status: { conditions: [{ type: 'PodScheduled', status: 'True' }] } })
    },
    { uid: body.metadata?.uid },
  )
}

export function replaced(store: ObjectStore, key: string, target: Target, request: ApiRequest): KubeObject {
  const body = request.body as Body
  const only = { resourceVersion: body.metadata?.resourceVersion }
  return store.update(key, (object) => written(target, object, { ...object, ...body } as KubeObject, body), only)
}

export function patched(
  store: ObjectStore,
  key: string,
  target: Target,
  request: ApiRequest,
  applied: Applied,
): KubeObject {
  const { body } = request
  if (request.contentType.startsWith('application/apply-patch')) return appliedTo(store, key, target, request, applied)
  const { metadata } = body as Body
  const only = { resourceVersion: metadata?.resourceVersion }
  return store.update(key, (object) => written(target, object, patchedObject(object, request), body as Body), only)
}

function patchedObject(object: KubeObject, { contentType, body }: ApiRequest): KubeObject {
  switch (contentType.split(';')[0]) {
    case 'application/merge-patch+json':
      return mergePatch(object, body) as KubeObject
    case 'application/strategic-merge-patch+json':
      return strategicPatch(object, body) as KubeObject
    case 'application/json-patch+json':
      return jsonPatch(object, body as Parameters<typeof jsonPatch>[1]) as KubeObject
    default:
      throw new Refusal(415, 'UnsupportedMediaType', `no patch is ${contentType}`)
  }
}

function appliedTo(store: ObjectStore, key: string, target: Target, request: ApiRequest, applied: Applied): KubeObject {
  const manager = request.query.get('fieldManager')
  if (manager === null) throw new Refusal(400, 'BadRequest', 'fieldManager is required for apply patch')
  const { metadata, apiVersion: _, kind: __, ...fields } = request.body as Body
  const uid = store.get(key)?.metadata.uid
  if (uid === undefined) throw notFound(`${store.resource.kind} ${key}`)
  const slot = `${uid}/${target.subresource ?? ''}`
  const managers = applied.get(slot) ?? new Map<string, unknown>()
  const others = [...managers].filter(([other]) => other !== manager).map(([, applied_]) => applied_)
  const only = { resourceVersion: metadata?.resourceVersion }
  const patch = (before: KubeObject) => applyPatch(before, managers.get(manager), fields, others) as KubeObject
  const object = store.update(key, (before) => written(target, before, patch(before), request.body as Body), only)
  applied.set(slot, managers.set(manager, structuredClone(fields)))
  return object
}

export function deleted(store: ObjectStore, key: string, request: ApiRequest): KubeObject {
  const { preconditions } = (request.body ?? {}) as { preconditions?: { uid?: string; resourceVersion?: string } }
  return store.delete(key, preconditions)
}

/** A write to the object leaves its status alone, and one to its status leaves all else. */
function written(target: Target, before: KubeObject, after: KubeObject, body: Body): KubeObject {
  // For the status of a custom resource nothing looks at the uid (tried on 1.36.3).
  const isLookedAt = target.subresource !== 'status' || target.resource === 'pods'
  const { uid } = body.metadata ?? {}
  if (isLookedAt && uid !== undefined && uid !== before.metadata.uid) {
    throw invalid(`metadata.uid: Invalid value: ${uid}: field is immutable`)
  }
  if (target.subresource === 'status') return { ...before, status: after['status'] }
  const hasStatus = target.resource !== 'leases' && target.resource !== 'events'
  if (!hasStatus) return after
  const { status: _, ...rest } = after
  return { ...rest, ...('status' in before && { status: before['status'] }) }
}
