// The patches of the Kubernetes API: merge (RFC 7386), strategic (as merge, but conditions are merged by type), json (RFC 6902)
// and apply (the fields that the manager no longer names go, unless another names them too).
import { isDeepStrictEqual } from 'node:util'

import { invalid } from './refusal.ts'

type Json = Record<string, unknown>

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
  const document = structuredClone(target)
  for (const { op, path, value } of operations) {
    const steps = path
      .split('/')
      .slice(1)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    const last = steps.pop() ?? ''
    const parent = steps.reduce<unknown>((at, step) => (at as Json | undefined)?.[step], document)
    if (parent === null || typeof parent !== 'object') throw invalid(`json patch: ${path} does not exist`)
    apply(parent as Json, last, op, value, path)
  }
  return document
}

function apply(parent: Json, last: string, op: string, value: unknown, path: string): void {
  if (op === 'test') {
    if (!isDeepStrictEqual(parent[last], value)) throw invalid(`json patch: testing value ${path} failed`)
  } else if (op === 'add' && Array.isArray(parent)) {
    parent.splice(last === '-' ? parent.length : Number(last), 0, value)
  } else if (op === 'add') {
    parent[last] = value
  } else {
    if (!(last in parent)) throw invalid(`json patch: ${path} does not exist`)
    if (op === 'replace') parent[last] = value
    else if (Array.isArray(parent)) parent.splice(Number(last), 1)
    else delete parent[last]
  }
}

/**
 * @param before what this manager applied the last time
 * @param others what all other managers apply now
 */
export function applyPatch(target: unknown, before: unknown, now: unknown, others: readonly unknown[]): unknown {
  return mergeApplied(pruned(target, before, now, others), now)
}

function pruned(target: unknown, before: unknown, now: unknown, others: readonly unknown[]): unknown {
  if (!isObject(target) || !isObject(before)) return target
  const result: Json = { ...target }
  for (const field of Object.keys(before)) {
    const nowThere = isObject(now) && field in now
    const others_ = others.flatMap((other) => (isObject(other) && field in other ? [other[field]] : []))
    if (isObject(before[field]) && isObject(result[field])) {
      result[field] = pruned(result[field], before[field], nowThere ? now[field] : undefined, others_)
      if (!nowThere && others_.length === 0 && Object.keys(result[field] as Json).length === 0) delete result[field]
    } else if (!nowThere && others_.length === 0) {
      delete result[field]
    }
  }
  return result
}

function mergeApplied(target: unknown, now: unknown): unknown {
  if (!isObject(now)) return now
  const result: Json = isObject(target) ? { ...target } : {}
  for (const [field, value] of Object.entries(now)) {
    result[field] = field === 'conditions' ? conditionsOf(result[field], value) : mergeApplied(result[field], value)
  }
  return result
}

function conditionsOf(before: unknown, after: unknown): unknown[] {
  return [...new Map([...asList(before), ...asList(after)].map((one) => [one['type'], one])).values()]
}

function asList(value: unknown): Json[] {
  return Array.isArray(value) ? value : []
}

function isObject(value: unknown): value is Json {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
