// The policy that we ship for the attacher, filled in for a simulated account.

import { readFileSync } from 'node:fs'

import { type Account, partitionOf } from './arn.ts'

const policyFile = new URL('../../../deploy/iam/policy.json', import.meta.url)

export interface Placement {
  readonly cluster: string
  readonly vpcId: string
}

export function shippedPolicy({ region, accountId }: Account, { cluster, vpcId }: Placement): unknown {
  const values = { CLUSTER: cluster, REGION: region, ACCOUNT: accountId, PARTITION: partitionOf(region), VPC: vpcId }
  const filled = Object.entries(values).reduce(
    (text, [name, value]) => text.replaceAll(`\${${name}}`, value),
    readFileSync(policyFile, 'utf8'),
  )
  return JSON.parse(filled)
}
