// What each HTTP verb does to the objects: reads with selectors and pages, creates, updates, patches, deletes.
import { appliedTo } from './apply-verb.ts'
import { fieldSelector } from './field-selector.ts'
import type { JsonObject } from './json.ts'
import type { ListPages } from './list-pages.ts'
import { type ObjectStore, ownedBy } from './object-store.ts'
import { jsonPatch, mergePatch, strategicPatch } from './patch.ts'
import { badRequest, invalid, Refusal } from './refusal.ts'
import type { ApiRequest, Body } from './request.ts'
import type { KubeObject, Target } from './resources.ts'
import { checkIdentity, checkName, newObject, updater, written } from './written-object.ts'

/** What the API server takes for a pod that does not say. */
const defaultGraceSeconds = 30

export function listOf(
  store: ObjectStore,
  target: Target,
  query: URLSearchParams,
  version: number,
  pages: ListPages,
): object {
  const isSelected = fieldSelector(query.get('fieldSelector') ?? '', store.resource)
  const limit = Number(query.get('limit') ?? Infinity)
  const token = query.get('continue') ?? ''
  const isIn = ({ metadata }: KubeObject) => target.namespace === undefined || metadata.namespace === target.namespace
  const selected = () => store.list().filter((object) => isIn(object) && isSelected(object))
  const page = token === '' ? pages.first(selected(), version, limit) : pages.next(token, limit)
  const { apiVersion, kind } = store.resource
  const metadata = { resourceVersion: String(page.version), ...(page.next !== undefined && { continue: page.next }) }
  return { apiVersion, kind: `${kind}List`, metadata, items: page.items }
}

export function created(store: ObjectStore, target: Target, request: ApiRequest): KubeObject {
  const body = request.body as Body
  const { metadata = {} } = body
  if (metadata.name === undefined && metadata.generateName === undefined)
    throw invalid('metadata.name: Required value: name or generateName is required')
  if (target.namespace !== undefined && (metadata.namespace ?? target.namespace) !== target.namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== '')
    throw new Refusal(500, '', 'resourceVersion should not be set on objects to be created')
  return store.create(newObject(store, target, body), ownedBy(updater(target, request)))
}

export function replaced(store: ObjectStore, key: string, target: Target, request: ApiRequest): KubeObject {
  const body = request.body as Body
  const { uid, resourceVersion, name } = body.metadata ?? {}
  checkName(target, name)
  if (store.resource.needsVersion === true && resourceVersion === undefined && store.get(key) !== undefined)
    throw invalid('metadata.resourceVersion: Invalid value: 0: must be specified for an update')
  const write = (before: KubeObject) => written(store, target, before, body as KubeObject)
  return store.update(key, write, { uid, resourceVersion }, ownedBy(updater(target, request)))
}

export function patched(store: ObjectStore, key: string, target: Target, request: ApiRequest): KubeObject {
  if (request.contentType.startsWith('application/apply-patch')) return appliedTo(store, key, target, request)
  const write = (before: KubeObject) => {
    const after = patchedObject(store, before, request)
    checkIdentity(store, target, before, after.metadata)
    return written(store, target, before, after)
  }
  return store.update(key, write, {}, ownedBy(updater(target, request)))
}

function patchedObject(store: ObjectStore, object: KubeObject, { contentType, body }: ApiRequest): KubeObject {
  const type = contentType.split(';')[0]
  if (type === 'application/merge-patch+json') return mergePatch(object, body) as KubeObject
  if (type === 'application/json-patch+json')
    return jsonPatch(object, body as Parameters<typeof jsonPatch>[1]) as KubeObject
  // Only for the types that are compiled into the API server.
  if (type === 'application/strategic-merge-patch+json' && store.resource.checked === undefined)
    return strategicPatch(object, body) as KubeObject
  throw new Refusal(415, 'UnsupportedMediaType', `${contentType} is no patch for ${store.resource.kind}`)
}

export function deleted(store: ObjectStore, key: string, target: Target, request: ApiRequest): object {
  const { preconditions, gracePeriodSeconds } = (request.body ?? {}) as DeleteOptions
  const seconds = graceOf(target, store.get(key), gracePeriodSeconds)
  const left = seconds > 0 ? store.markDeleted(key, seconds, preconditions) : store.delete(key, preconditions)
  return left ?? { kind: 'Status', apiVersion: 'v1', status: 'Success' }
}

interface DeleteOptions {
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
  readonly gracePeriodSeconds?: number
}

/** A pod that a node has, and that has not ended, stays until the kubelet deletes it once more, without grace. */
function graceOf({ resource }: Target, object: KubeObject | undefined, asked: number | undefined): number {
  const { spec = {}, status = {} } = (object ?? {}) as Partial<Record<'spec' | 'status', JsonObject>>
  if (resource !== 'pods' || spec['nodeName'] === undefined) return 0
  if (status['phase'] === 'Succeeded' || status['phase'] === 'Failed') return 0
  return asked ?? Number(spec['terminationGracePeriodSeconds'] ?? defaultGraceSeconds)
}
