// Filter.N of the Describe actions. Filters are joined by AND, the values of one by OR; `*` and `?` are wildcards in values,
// a backslash takes their meaning away (EC2 user guide, "Filter your resources").

import { refusals } from '../state/refusals.ts'

import type { Parameter } from './parameter.ts'

/** For each filter name the values that an item has under it. */
export type FilterTable<Item> = Readonly<
  Record<string, (item: Item) => readonly (string | number | boolean | undefined)[]>
>

export interface Filter {
  readonly name: string
  readonly values: readonly string[]
}

const maximumFilters = 50
const maximumValues = 200

export function readFilters(parameters: Parameter): Filter[] {
  const filters = parameters.at('Filter').items()
  if (filters.length > maximumFilters) throw refusals.tooManyFilters()
  return filters.map((filter) => {
    const values = filter.at('Value').texts()
    if (values.length > maximumValues) throw refusals.tooManyFilterValues()
    return { name: filter.at('Name').requiredText(), values }
  })
}

export function filtered<Item extends { readonly tags: ReadonlyMap<string, string> }>(
  items: readonly Item[],
  filters: readonly Filter[],
  table: FilterTable<Item>,
): Item[] {
  const tests = filters.map(({ name, values }) => {
    const valuesOf = tagFilter(name) ?? table[name]
    if (valuesOf === undefined) throw refusals.unknownFilter(name)
    const matches = matcher(values)
    return (item: Item): boolean => valuesOf(item).some((value) => value !== undefined && matches(String(value)))
  })
  return items.filter((item) => tests.every((test) => test(item)))
}

function tagFilter(name: string): FilterTable<{ readonly tags: ReadonlyMap<string, string> }>[string] | undefined {
  if (name === 'tag-key') return ({ tags }) => [...tags.keys()]
  if (!name.startsWith('tag:')) return undefined
  const key = name.slice('tag:'.length)
  return ({ tags }) => [tags.get(key)]
}

function matcher(values: readonly string[]): (value: string) => boolean {
  const exact = new Set(values.filter((value) => !/[*?\\]/.test(value)))
  const patterns = values.filter((value) => !exact.has(value)).map(wildcardPattern)
  return (value) => exact.has(value) || patterns.some((pattern) => pattern.test(value))
}

function wildcardPattern(value: string): RegExp {
  const source = value.replace(/\\(.)|([\s\S])/g, (_all, escaped: string | undefined, plain: string | undefined) => {
    if (plain === '*') return '[\\s\\S]*'
    if (plain === '?') return '[\\s\\S]'
    return literally(escaped ?? plain ?? '')
  })
  return new RegExp(`^${source}$`)
}

function literally(character: string): string {
  return /[\w\s]/.test(character) ? character : `\\${character}`
}
