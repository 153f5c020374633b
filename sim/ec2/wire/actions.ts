// Every action that the simulated EC2 answers, by its name on the wire. A new action is added here.

import type { Action } from './action.ts'
import { describeInstanceTypes } from './describe-instance-types.ts'
import { describeInstances } from './describe-instances.ts'
import { describeNetworkInterfaces } from './describe-network-interfaces.ts'
import { describeSecurityGroups } from './describe-security-groups.ts'
import { describeSubnets } from './describe-subnets.ts'
import { interfaceActions } from './interface-actions.ts'
import { networkActions } from './network-actions.ts'
import { tagActions } from './tag-actions.ts'

export const actions = {
  DescribeInstances: describeInstances,
  DescribeInstanceTypes: describeInstanceTypes,
  DescribeNetworkInterfaces: describeNetworkInterfaces,
  DescribeSecurityGroups: describeSecurityGroups,
  DescribeSubnets: describeSubnets,
  ...interfaceActions,
  ...networkActions,
  ...tagActions,
} satisfies Readonly<Record<string, Action>>

export type ActionName = keyof typeof actions

export function isActionName(name: string): name is ActionName {
  return Object.hasOwn(actions, name)
}
