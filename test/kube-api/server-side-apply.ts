// Server-side apply: the fields that a manager names are its own; those that it named before and no longer names go, unless another
// owns them too (structured-merge-diff, merge/update.go).
import {
  differenceOf,
  fieldOf,
  type FieldOwners,
  fieldsOf,
  idOf,
  type Manager,
  ownable,
  partsOf,
  withoutEmpty,
} from './field-owners.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import { difference, intersection, type PathSet } from './path-set.ts'
import { Refusal } from './refusal.ts'

export interface Application {
  readonly manager: Manager
  /** Takes what others own. */
  readonly force: boolean
  /** What the manager wants, and may write: see `ownable`. */
  readonly wanted: JsonObject
}

export interface Applied {
  readonly object: JsonObject
  readonly owners: FieldOwners
}

/** Every application names its object. */
const namedByAll: PathSet = new Set(['/f:metadata'])

/** @throws Refusal 409 when others own what would change, and there is no force. */
export function applied(live: JsonObject, owners: FieldOwners, { manager, force, wanted }: Application): Applied {
  const id = idOf(manager)
  const merged = mergedWith(live, wanted, '') as JsonObject
  const { modified } = differenceOf(ownable(live), ownable(merged))
  const others = new Map([...owners].filter(([other]) => other !== id))
  const conflicts = [...others].flatMap(([other, fields]) =>
    intersection(fields, modified).map((path) => `conflict with "${other}": ${path}`),
  )
  if (conflicts.length > 0 && !force) throw new Refusal(409, 'Conflict', `Apply failed: ${conflicts.join(', ')}`)

  const fields = fieldsOf(wanted)
  const next = new Map([...others].map(([other, owned]) => [other, difference(owned, modified)]))
  next.set(id, fields)
  const noLongerNamed = difference(owners.get(id) ?? new Set(), fields)
  if (noLongerNamed.size === 0) return { object: merged, owners: withoutEmpty(next) }
  const owned = withAncestors([...next.values(), namedByAll])
  const leftOut = difference(withAncestors([noLongerNamed]), owned)
  return { object: without(merged, leftOut, '', '') as JsonObject, owners: withoutEmpty(next) }
}

/** Objects and lists with keys part by part, everything else as a whole. */
function mergedWith(live: unknown, wanted: unknown, field: string): unknown {
  if (isJsonObject(wanted)) {
    const merged = isJsonObject(live) ? { ...live } : {}
    for (const [name, part] of Object.entries(wanted)) merged[name] = mergedWith(merged[name], part, name)
    return merged
  }
  const items = partsOf(field, wanted)
  if (items === undefined) return wanted
  const merged = new Map(partsOf(field, live))
  for (const [step, item] of items) merged.set(step, mergedWith(merged.get(step), item, ''))
  return [...merged.values()]
}

/**
 * An object that loses its last field this way and that somebody owns nevertheless, such as an applier who names it as {}, becomes
 * null: so does structured-merge-diff (typed/remove.go), and the schema then refuses it.
 */
function without(value: unknown, leftOut: PathSet, path: string, field: string): unknown {
  const parts = partsOf(field, value)
  if (parts === undefined || parts.size === 0) return value
  const kept = new Map<string, unknown>()
  for (const [step, part] of parts) {
    const at = `${path}/${step}`
    if (!leftOut.has(at)) kept.set(step, without(part, leftOut, at, fieldOf(step)))
  }
  if (kept.size === 0) return null
  const isSame = kept.size === parts.size && [...kept].every(([step, part]) => parts.get(step) === part)
  return isSame ? value : assembled(value, kept)
}

function assembled(like: unknown, parts: ReadonlyMap<string, unknown>): unknown {
  if (Array.isArray(like)) return [...parts.values()]
  return Object.fromEntries([...parts].map(([step, part]) => [fieldOf(step), part]))
}

/** Who owns a field owns what it is in (EnsureNamedFieldsAreMembers). */
function withAncestors(sets: readonly PathSet[]): Set<string> {
  const all = new Set<string>()
  for (const fields of sets) {
    for (let path of fields) {
      while (path !== '' && !all.has(path)) {
        all.add(path)
        path = path.slice(0, path.lastIndexOf('/'))
      }
    }
  }
  return all
}
