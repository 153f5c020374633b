// Objects as they look after a way through JSON, without paying for that way twice.

export type JsonObject = Record<string, unknown>

const settledValues = new WeakSet<object>()
const texts = new WeakMap<object, string>()

export function isJsonObject(value: unknown): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/**
 * The value for good: without the fields that are undefined, and frozen, so that whoever changes it by mistake learns of it. Parts
 * that are settled already are shared, not copied.
 */
export function settled<T>(value: T): T {
  if (value === null || typeof value !== 'object' || settledValues.has(value)) return value
  const copy = Array.isArray(value) ? value.map(settled) : settledFields(value)
  settledValues.add(Object.freeze(copy))
  return copy as T
}

function settledFields(value: object): JsonObject {
  const copy: JsonObject = {}
  for (const [name, part] of Object.entries(value)) {
    if (part !== undefined) copy[name] = settled<unknown>(part)
  }
  return copy
}

/** A copy for somebody else; the text of a settled object is made only once. */
export function copyOf(object: object): object {
  return JSON.parse(settledValues.has(object) ? textOf(object) : JSON.stringify(object)) as object
}

function textOf(object: object): string {
  const text = texts.get(object) ?? JSON.stringify(object)
  texts.set(object, text)
  return text
}
