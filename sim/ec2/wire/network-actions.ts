// The actions that delete what interfaces are made in: security groups and subnets.

import { deleteSecurityGroup } from '../state/delete-security-group.ts'
import { deleteSubnet } from '../state/delete-subnet.ts'

import { type Action, action } from './action.ts'

export const networkActions = {
  DeleteSecurityGroup: action(
    (parameters) => parameters.at('GroupId').requiredText(),
    (state, groupId) => {
      deleteSecurityGroup(state, groupId)
      return { return: true, groupId }
    },
  ),

  DeleteSubnet: action(
    (parameters) => parameters.at('SubnetId').requiredText(),
    (state, subnetId) => {
      deleteSubnet(state, subnetId)
      return { return: true }
    },
  ),
} satisfies Readonly<Record<string, Action>>
