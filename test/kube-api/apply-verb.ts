// PATCH with an application: what it asks of the object that is there, and of one that is not.
import { type Manager, nobody, ownable } from './field-owners.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import type { ObjectStore } from './object-store.ts'
import { conflict, invalid, Refusal } from './refusal.ts'
import type { ApiRequest, Body } from './request.ts'
import type { KubeObject, Target } from './resources.ts'
import { type Application, applied } from './server-side-apply.ts'
import { checkIdentity, checkName, newObject, written } from './written-object.ts'

export function appliedTo(store: ObjectStore, key: string, target: Target, request: ApiRequest): KubeObject {
  const body = request.body as Body
  const name = request.query.get('fieldManager')
  if (name === null) throw invalid('fieldManager: Required value: is required for apply patch')
  const manager: Manager = { name, operation: 'Apply', subresource: target.subresource }
  const force = request.query.get('force') === 'true'
  const application: Application = { manager, force, wanted: writablePart(store, target, body) }
  const live = store.get(key)
  if (live === undefined && target.subresource === undefined) return createdByApply(store, target, body, application)
  let owners = nobody
  const write = (before: KubeObject) => {
    checkIdentity(store, target, before, body.metadata ?? {})
    const outcome = applied(before, store.ownersOf(key), application)
    owners = outcome.owners
    return written(store, target, before, outcome.object as KubeObject)
  }
  return store.update(key, write, {}, (_owners, _before, after) => {
    checkDeclared(application, after)
    return owners
  })
}

function createdByApply(store: ObjectStore, target: Target, body: Body, application: Application): KubeObject {
  checkName(target, body.metadata?.name)
  if (body.metadata?.uid !== undefined) throw conflict(`uid mismatch: no existing object was found: ${target.name}`)
  const metadata = { ...body.metadata, name: target.name ?? '' }
  return store.create(newObject(store, target, { ...body, metadata }), (_owners, _before, after) => {
    checkDeclared(application, after)
    return applied({}, nobody, application).owners
  })
}

/** The API server knows the fields of every kind, and does not apply others. */
function checkDeclared({ wanted }: Application, after: KubeObject): void {
  const { metadata: _, ...fields } = wanted
  const field = undeclaredField(fields, after)
  if (field !== undefined) throw new Refusal(500, '', `failed to create typed patch object: ${field}: not declared`)
}

/** What validation has left out of the object. */
function undeclaredField(wanted: unknown, after: unknown): string | undefined {
  if (!isJsonObject(wanted) || !isJsonObject(after)) return undefined
  for (const [name, value] of Object.entries(wanted)) {
    if (!(name in after)) return `.${name}`
    const below = undeclaredField(value, after[name])
    if (below !== undefined) return `.${name}${below}`
  }
  return undefined
}

/** What is left out of it is not owned either. */
function writablePart(store: ObjectStore, target: Target, body: Body): JsonObject {
  const { status, ...rest } = ownable(body)
  const part = status === undefined ? {} : { status }
  if (target.subresource === 'status') return part
  return store.resource.status === 'is a field like others' ? { ...rest, ...part } : rest
}
