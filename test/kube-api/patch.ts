// The patches of the Kubernetes API: merge (RFC 7386), strategic (as merge, but conditions are merged by type) and json (RFC 6902).
import { isDeepStrictEqual } from 'node:util'

import { isJsonObject as isObject, type JsonObject as Json } from './json.ts'
import { invalid } from './refusal.ts'

export function mergePatch(target: unknown, patch: unknown): unknown {
  return merged(target, patch, (_field, _before, after) => after)
}

export function strategicPatch(target: unknown, patch: unknown): unknown {
  return merged(target, patch, (field, before, after) => {
    if (field !== 'conditions') return after
    const byType = new Map([...asList(before), ...asList(after)].map((condition) => [condition['type'], condition]))
    return [...byType.values()]
  })
}

function merged(
  target: unknown,
  patch: unknown,
  list: (field: string, before: unknown, after: unknown[]) => unknown,
): unknown {
  if (!isObject(patch)) return patch
  const result: Json = isObject(target) ? { ...target } : {}
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete result[field]
    else if (Array.isArray(value)) result[field] = list(field, result[field], value)
    else result[field] = merged(result[field], value, list)
  }
  return result
}

interface Operation {
  readonly op: string
  readonly path: string
  readonly value?: unknown
}

export function jsonPatch(target: unknown, operations: readonly Operation[]): unknown {
  return operations.reduce((document, operation) => {
    const steps = operation.path
      .split('/')
      .slice(1)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    return changedAt(document, steps, operation)
  }, target)
}

/** Copies only what is on the way to the place. */
function changedAt(document: unknown, [step = '', ...rest]: readonly string[], operation: Operation): unknown {
  const { op, path, value } = operation
  if (document === null || typeof document !== 'object') throw invalid(`json patch: ${path} does not exist`)
  const copy = (Array.isArray(document) ? [...document] : { ...document }) as Json
  if (rest.length === 0) apply(copy, step, op, value, path)
  else copy[step] = changedAt(copy[step], rest, operation)
  return copy
}

function apply(parent: Json, last: string, op: string, value: unknown, path: string): void {
  if (op === 'test') {
    if (!isDeepStrictEqual(parent[last], value)) throw invalid(`json patch: testing value ${path} failed`)
  } else if (op === 'add' || op === 'replace') {
    put(parent, last, op, value, path)
  } else if (op === 'remove') {
    if (!(last in parent)) throw invalid(`json patch: ${path} does not exist`)
    if (Array.isArray(parent)) parent.splice(Number(last), 1)
    else delete parent[last]
  } else {
    throw invalid(`json patch: unexpected kind: ${op}`)
  }
}

/** Only in a list does `replace` ask for something to replace (evanphx/json-patch, as the API server uses it). */
function put(parent: Json, last: string, op: 'add' | 'replace', value: unknown, path: string): void {
  if (!Array.isArray(parent)) {
    parent[last] = value
    return
  }
  if (op === 'replace' && !(last in parent)) throw invalid(`json patch: ${path} does not exist`)
  parent.splice(last === '-' ? parent.length : Number(last), op === 'replace' ? 1 : 0, value)
}

function asList(value: unknown): Json[] {
  return Array.isArray(value) ? value : []
}
