// An IAM policy document, read once into something that can be asked. What IAM knows and this does not (NotAction, NotResource,
// Principal, policy variables, further operators and keys) is refused here, so that no policy seems to say less than it does.

import { z } from 'zod'

import { type Condition, parseCondition } from './condition.ts'
import type { Context } from './condition-keys.ts'
import { wildcard } from './wildcard.ts'

/** What EC2 asks of IAM: may this be done with that? One call of the API asks several. */
export interface AccessCheck {
  /** Such as ec2:AttachNetworkInterface. */
  readonly action: string
  /** An ARN, that of a resource still to be made ending in `/*`; or `*` where the action names no resource. */
  readonly resource: string
  readonly context: Context
}

export interface Statement {
  readonly effect: 'Allow' | 'Deny'
  covers(check: AccessCheck): boolean
}

export interface Policy {
  readonly statements: readonly Statement[]
}

const oneOrMore = z.union([z.string(), z.array(z.string()).nonempty()]).transform((value) => [value].flat())

const documentSchema = z.strictObject({
  Version: z.literal('2012-10-17'),
  Id: z.string().optional(),
  Statement: z.array(
    z.strictObject({
      Sid: z
        .string()
        .regex(/^[A-Za-z0-9]*$/)
        .optional(),
      Effect: z.enum(['Allow', 'Deny']),
      Action: oneOrMore,
      Resource: oneOrMore,
      Condition: z.record(z.string(), z.record(z.string(), oneOrMore)).default({}),
    }),
  ),
})

type StatementDocument = z.output<typeof documentSchema>['Statement'][number]

/** @throws Error that names the statement, or the field, that is not modelled or not valid. */
export function parsePolicy(document: unknown): Policy {
  const variable = /\$\{[^}]*\}/.exec(JSON.stringify(document))
  if (variable !== null)
    throw new Error(`policy variables are not modelled, placeholders must be filled: ${variable[0]}`)
  const { Statement } = documentSchema.parse(document)
  return { statements: Statement.map(parseStatement) }
}

function parseStatement(document: StatementDocument, at: number): Statement {
  // Action names are not case-sensitive, ARNs are (IAM user guide, "Action" and "Resource").
  const actions = document.Action.map((action) => wildcard(action, 'i'))
  const resources = document.Resource.map((resource) => wildcard(resource))
  const conditions = parseConditions(document, at)
  return {
    effect: document.Effect,
    covers: ({ action, resource, context }) =>
      actions.some((pattern) => pattern.test(action)) &&
      resources.some((pattern) => pattern.test(resource)) &&
      conditions.every((condition) => condition(context)),
  }
}

function parseConditions({ Sid, Condition: block }: StatementDocument, at: number): Condition[] {
  try {
    return Object.entries(block).flatMap(([operator, keys]) =>
      Object.entries(keys).map(([key, values]) => parseCondition(operator, key, values)),
    )
  } catch (error) {
    throw new Error(`statement ${Sid ?? at + 1} of the policy: ${(error as Error).message}`, { cause: error })
  }
}
