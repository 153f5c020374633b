// One line of a Condition block: operator, key and values, as a test of what a request says.
// Rules: IAM user guide, "Condition operators" and "Set operators for multivalued context keys". A key that the request does not
// have fails a positive operator, passes a negated one, passes …IfExists and ForAllValues, and fails ForAnyValue.

import { type Context, isKnownKey, isMultivalued } from './condition-keys.ts'
import { wildcard } from './wildcard.ts'

export type Condition = (context: Context) => boolean

interface Operator {
  readonly negated: boolean
  readonly matches: (value: string, wanted: string) => boolean
}

const equal = (value: string, wanted: string): boolean => value === wanted
const like = (value: string, wanted: string): boolean => wildcard(wanted).test(value)

// ArnEquals and ArnLike behave alike (IAM user guide, "ARN condition operators").
const operators: Readonly<Record<string, Operator>> = {
  StringEquals: { negated: false, matches: equal },
  StringNotEquals: { negated: true, matches: equal },
  StringLike: { negated: false, matches: like },
  StringNotLike: { negated: true, matches: like },
  ArnEquals: { negated: false, matches: arnLike },
  ArnLike: { negated: false, matches: arnLike },
  Bool: { negated: false, matches: equal },
}

const spelling = /^(?:(?<set>ForAllValues|ForAnyValue):)?(?<name>[A-Za-z]+?)(?<ifExists>IfExists)?$/

/** @throws Error on an operator or key that is not modelled: IAM knows more of both, and none may be passed over. */
export function parseCondition(operator: string, key: string, wanted: readonly string[]): Condition {
  if (!isKnownKey(key)) throw new Error(`condition key ${key} is not modelled`)
  if (operator === 'Null') return nullCondition(key, wanted)

  const { set, name = '', ifExists } = spelling.exec(operator)?.groups ?? {}
  const known = Object.hasOwn(operators, name) ? operators[name] : undefined
  if (known === undefined) throw new Error(`condition operator ${operator} is not modelled`)
  if (set === undefined && isMultivalued(key)) {
    throw new Error(`${key} has several values: ${operator} needs ForAllValues: or ForAnyValue:`)
  }

  const passes = (value: string): boolean => known.negated !== wanted.some((each) => known.matches(value, each))
  const whenAbsent = set === 'ForAllValues' || ifExists !== undefined || (known.negated && set === undefined)
  return (context) => {
    const values = context.get(key.toLowerCase())
    if (values === undefined) return whenAbsent
    return set === 'ForAllValues' ? values.every(passes) : values.some(passes)
  }
}

function nullCondition(key: string, wanted: readonly string[]): Condition {
  const [absent, ...others] = wanted
  if (others.length > 0 || (absent !== 'true' && absent !== 'false')) {
    throw new Error(`Null ${key} is true or false, not ${wanted.join(', ')}`)
  }
  return (context) => context.has(key.toLowerCase()) === (absent === 'false')
}

/** Each of the six parts is compared on its own, with wildcards. */
function arnLike(value: string, wanted: string): boolean {
  const parts = arnParts(value)
  const patterns = arnParts(wanted)
  return parts.every((part, at) => like(part, patterns[at] ?? ''))
}

function arnParts(arn: string): string[] {
  const parts = arn.split(':')
  return [...parts.slice(0, 5), parts.slice(5).join(':')]
}
