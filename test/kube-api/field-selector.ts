// fieldSelector of lists and watches: `a.b=c` and `a.b!=c`, joined by commas.
import type { KubeObject } from './resources.ts'

export function fieldSelector(text: string): (object: KubeObject) => boolean {
  const terms = text
    .split(',')
    .filter((term) => term !== '')
    .map(termOf)
  return (object) => terms.every((term) => term(object))
}

function termOf(term: string): (object: KubeObject) => boolean {
  const { path = '', not, value = '' } = /^(?<path>[^!=]+)(?<not>!)?==?(?<value>.*)$/.exec(term)?.groups ?? {}
  const steps = path.split('.')
  return (object) => {
    const found = steps.reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], object)
    const isEqual = (typeof found === 'string' ? found : '') === value
    return not === undefined ? isEqual : !isEqual
  }
}
