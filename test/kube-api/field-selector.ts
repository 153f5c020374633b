// fieldSelector of lists and watches: `a.b=c` and `a.b!=c`, joined by commas.
import type { JsonObject } from './json.ts'
import { badRequest } from './refusal.ts'
import type { KubeObject, Resource } from './resources.ts'

const always = ['metadata.name', 'metadata.namespace']

/** @throws Refusal 400 for a field that the resource cannot be selected by. */
export function fieldSelector(text: string, { selectable = [] }: Resource): (object: KubeObject) => boolean {
  const terms = text
    .split(',')
    .filter((term) => term !== '')
    .map((term) => termOf(term, [...always, ...selectable]))
  return (object) => terms.every((term) => term(object))
}

function termOf(term: string, selectable: readonly string[]): (object: KubeObject) => boolean {
  const { path = '', not, value = '' } = /^(?<path>[^!=]+)(?<not>!)?==?(?<value>.*)$/.exec(term)?.groups ?? {}
  if (!selectable.includes(path)) throw badRequest(`field label not supported: ${path}`)
  const steps = path.split('.')
  return (object) => {
    const found = steps.reduce<unknown>((at, step) => (at as JsonObject | undefined)?.[step], object)
    const isEqual = (typeof found === 'string' ? found : '') === value
    return not === undefined ? isEqual : !isEqual
  }
}
