// DeleteSecurityGroup: refused while an interface has the group, so an interface that leaked keeps a VPC from being deleted.

import { type Ec2State, defaultGroupName } from './ec2-state.ts'
import { refusals } from './refusals.ts'

export function deleteSecurityGroup(state: Ec2State, groupId: string): void {
  const group = state.group(groupId)
  if (group.groupName === defaultGroupName) throw refusals.defaultGroup(groupId)
  if (state.enis().some((eni) => eni.groupIds.includes(groupId))) throw refusals.groupInUse(groupId)
  state.removeGroup(group)
}
