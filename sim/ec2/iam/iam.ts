// IAM as the simulated EC2 asks it before every call: are the credentials good, and do the caller's policies allow what the call
// does? Models identity-based policies of the kind that controllers are given (policy.ts says which); not boundaries, service
// control policies, session policies, resource policies or policy variables.

import type { Ec2State } from '../state/ec2-state.ts'
import type { Parameter } from '../wire/parameter.ts'

import { accessChecks } from './access-checks.ts'
import { assumedRoleArn } from './arn.ts'
import { firstDenial } from './decision.ts'
import { type Policy, parsePolicy } from './policy.ts'
import { Sessions } from './sessions.ts'
import { unauthorized } from './unauthorized.ts'

export interface IamOptions {
  /** Policy documents of the callers that are not set apart by `addCaller`; none: everything is allowed, an empty list: nothing. */
  readonly policies?: readonly unknown[]
}

export interface Caller extends IamOptions {
  readonly accessKeyId: string
  readonly role: string
}

interface Rights {
  readonly role: string
  readonly policies: readonly Policy[] | undefined
}

const defaultRole = 'jit-eni-attacher'

export class Iam {
  readonly sessions = new Sessions()
  readonly #state: Ec2State
  readonly #callers = new Map<string, Rights>()
  #others: Rights
  #denials = 0

  /** @throws Error on a policy that is not modelled. */
  constructor(state: Ec2State, { policies }: IamOptions = {}) {
    this.#state = state
    this.#others = { role: defaultRole, policies: policies?.map(parsePolicy) }
  }

  /** From the next call on. */
  setPolicies(policies: readonly unknown[] | undefined): void {
    this.#others = { ...this.#others, policies: policies?.map(parsePolicy) }
  }

  /** Others that use the account have rights of their own. */
  addCaller({ accessKeyId, role, policies }: Caller): void {
    this.#callers.set(accessKeyId, { role, policies: policies?.map(parsePolicy) })
  }

  /** @throws Ec2Error */
  check(accessKeyId: string, action: string, parameters: Parameter): void {
    this.sessions.check(accessKeyId)
    const { role, policies } = this.#callers.get(accessKeyId) ?? this.#others
    if (policies === undefined) return
    const denial = firstDenial(policies, accessChecks(this.#state, action, parameters))
    if (denial === undefined) return
    const caller = assumedRoleArn(this.#state, role, accessKeyId.toLowerCase())
    throw unauthorized(caller, denial, ++this.#denials)
  }
}
