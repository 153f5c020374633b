// What a CRD's schema must be for an API server to accept it (kubernetes.io: "Specifying a structural schema").

export interface JsonSchema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: JsonSchema | boolean
  readonly items?: JsonSchema
  readonly required?: readonly string[]
  readonly pattern?: string
  readonly format?: string
  readonly 'x-kubernetes-list-type'?: string
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly [keyword: string]: unknown
}

const forbidden = ['$ref', 'definitions', 'dependencies', 'deprecated', 'discriminator', 'id', 'patternProperties']
const alsoForbidden = ['readOnly', 'writeOnly', 'xml', 'const', 'propertyNames', 'prefixItems']
const formats = new Set(['date-time', 'int32', 'int64', 'byte', 'double'])

/** One line for each thing that an API server would refuse; none for a structural schema. */
export function structuralProblems(schema: JsonSchema, path = 'schema'): string[] {
  const problems: string[] = []
  const say = (problem: string) => problems.push(`${path}: ${problem}`)
  if (schema.type === undefined && schema['x-kubernetes-int-or-string'] !== true) say('has no type')
  for (const keyword of [...forbidden, ...alsoForbidden]) if (keyword in schema) say(`${keyword} is forbidden`)
  if (schema.properties !== undefined && schema.additionalProperties !== undefined) {
    say('additionalProperties beside properties')
  }
  if (schema.type === 'array' && schema.items === undefined) say('array without items')
  if (schema.format !== undefined && !formats.has(schema.format)) say(`format ${schema.format} is not known`)
  if (/\(\?[=!<]/.test(schema.pattern ?? '')) say(`${schema.pattern}: RE2 has no lookaround`)
  for (const junctor of ['anyOf', 'oneOf', 'allOf', 'not']) {
    const parts = [schema[junctor] ?? []].flat() as JsonSchema[]
    if (parts.some(({ type }) => type !== undefined)) say(`type inside ${junctor}`)
  }
  for (const key of schema['x-kubernetes-list-map-keys'] ?? []) {
    if (schema.items?.required?.includes(key) !== true) say(`map key ${key} must be required`)
  }
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    problems.push(...structuralProblems(child, `${path}.${name}`))
  }
  if (schema.items !== undefined) problems.push(...structuralProblems(schema.items, `${path}[]`))
  if (typeof schema.additionalProperties === 'object') {
    problems.push(...structuralProblems(schema.additionalProperties, `${path}{}`))
  }
  return problems
}
