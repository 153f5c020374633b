// How IAM decides: an explicit Deny wins, something must allow, and the default is no. EC2 asks for each resource that a call
// names, and all of them must be allowed (IAM user guide, "Policy evaluation logic").

import type { AccessCheck, Policy } from './policy.ts'

export interface Denial {
  readonly check: AccessCheck
  readonly because: 'explicit-deny' | 'nothing-allows'
}

/** Undefined: permitted. */
export function firstDenial(policies: readonly Policy[], checks: readonly AccessCheck[]): Denial | undefined {
  const statements = policies.flatMap((policy) => policy.statements)
  for (const check of checks) {
    const effects = new Set(statements.filter((statement) => statement.covers(check)).map(({ effect }) => effect))
    if (effects.has('Deny')) return { check, because: 'explicit-deny' }
    if (!effects.has('Allow')) return { check, because: 'nothing-allows' }
  }
  return undefined
}
