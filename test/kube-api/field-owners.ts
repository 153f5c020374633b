// Who owns which fields of an object: what managedFields is on a real API server. A field is known by its path, a JSON pointer
// whose steps are those of FieldsV1: `f:` a field, `k:` an item of a list that has keys, `v:` a value of a set.
import { isDeepStrictEqual } from 'node:util'

import { isJsonObject, type JsonObject } from './json.ts'
import { difference, isEqual, type PathSet, union } from './path-set.ts'

export interface Manager {
  readonly name: string
  readonly operation: 'Apply' | 'Update'
  readonly subresource: string | undefined
}

/** The fields of each manager, under its id. */
export type FieldOwners = ReadonlyMap<string, PathSet>

export const nobody: FieldOwners = new Map()

export function idOf({ name, operation, subresource = '' }: Manager): string {
  return [operation, subresource, name].join('/')
}

/** Every other list is one value, which is replaced as a whole (x-kubernetes-list-type: atomic, the default of a CRD). */
const keyedLists: Readonly<Record<string, string>> = { conditions: 'type' }
const sets = new Set(['finalizers'])
/** The rest of metadata is the server's own. */
const ownedMetadata = ['labels', 'annotations', 'finalizers']

/** The part of an object that can be owned. */
export function ownable(object: JsonObject): JsonObject {
  const { apiVersion: _, kind: __, metadata, ...fields } = object
  const given = isJsonObject(metadata) ? metadata : {}
  const kept = Object.fromEntries(Object.entries(given).filter(([field]) => ownedMetadata.includes(field)))
  return Object.keys(kept).length === 0 ? fields : { ...fields, metadata: kept }
}

/** The parts of a field that have owners of their own, by the last step of their paths; undefined: it is one value. */
export function partsOf(field: string, value: unknown): Map<string, unknown> | undefined {
  if (isJsonObject(value)) return partsBy(Object.keys(value), Object.values(value), 'f')
  if (!Array.isArray(value)) return undefined
  const key = keyedLists[field]
  if (key !== undefined)
    return partsBy(
      (value as JsonObject[]).map((item) => String(item[key])),
      value,
      'k',
    )
  return sets.has(field) ? partsBy(value.map(String), value, 'v') : undefined
}

function partsBy(names: readonly string[], values: readonly unknown[], kind: 'f' | 'k' | 'v'): Map<string, unknown> {
  const parts = new Map<string, unknown>()
  for (const [index, name] of names.entries()) parts.set(`${kind}:${escaped(name)}`, values[index])
  return parts
}

export function fieldOf(step: string): string {
  if (!step.startsWith('f:')) return ''
  return step.includes('~') ? step.slice(2).replaceAll('~1', '/').replaceAll('~0', '~') : step.slice(2)
}

function escaped(name: string): string {
  return name.includes('~') || name.includes('/') ? name.replaceAll('~', '~0').replaceAll('/', '~1') : name
}

/** What an applier owns that names these fields: values, empty objects, and the items of lists. */
export function fieldsOf(wanted: JsonObject): Set<string> {
  const found = new Set<string>()
  collect(found, wanted, '', '')
  return found
}

function collect(found: Set<string>, value: unknown, path: string, step: string): void {
  const parts = partsOf(fieldOf(step), value)
  if (path !== '' && (parts === undefined || parts.size === 0 || step.startsWith('k:'))) found.add(path)
  for (const [next, part] of parts ?? []) collect(found, part, `${path}/${next}`, next)
}

export interface Difference {
  /** Values that were there before, and are others now. */
  readonly modified: Set<string>
  /** What was not there before, with the objects that hold it. */
  readonly added: Set<string>
  readonly removed: Set<string>
}

export function differenceOf(before: unknown, after: unknown): Difference {
  const found: Difference = { modified: new Set(), added: new Set(), removed: new Set() }
  compare(found, before, after, '', '')
  return found
}

function compare(found: Difference, before: unknown, after: unknown, path: string, step: string): void {
  if (before === after) return
  const partsBefore = partsOf(fieldOf(step), before)
  const partsAfter = partsOf(fieldOf(step), after)
  if (path !== '' && before === undefined) found.added.add(path)
  if (path !== '' && after === undefined) found.removed.add(path)
  if (before !== undefined && after !== undefined && (partsBefore === undefined || partsAfter === undefined)) {
    if (!isDeepStrictEqual(before, after)) found.modified.add(path)
  }
  for (const next of new Set([...(partsBefore?.keys() ?? []), ...(partsAfter?.keys() ?? [])])) {
    compare(found, partsBefore?.get(next), partsAfter?.get(next), `${path}/${next}`, next)
  }
}

/** Whoever changes a field without apply owns it, and nobody else. */
export function afterUpdate(owners: FieldOwners, manager: Manager, before: JsonObject, after: JsonObject): FieldOwners {
  const { modified, added, removed } = differenceOf(ownable(before), ownable(after))
  if (modified.size + added.size + removed.size === 0) return owners
  const lost = union(modified, removed)
  const next = new Map([...owners].map(([id, fields]) => [id, difference(fields, lost)]))
  const id = idOf(manager)
  next.set(id, union(next.get(id) ?? new Set(), modified, added))
  return withoutEmpty(next)
}

export function withoutEmpty(owners: FieldOwners): FieldOwners {
  return new Map([...owners].filter(([, fields]) => fields.size > 0))
}

export function isSameOwners(a: FieldOwners, b: FieldOwners): boolean {
  if (a === b) return true
  return a.size === b.size && [...a].every(([id, fields]) => isEqual(fields, b.get(id) ?? new Set()))
}
