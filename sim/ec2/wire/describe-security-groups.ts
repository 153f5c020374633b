// DescribeSecurityGroups: by ids or by filters (a name is the filter group-name, since GroupName.N is for default VPCs only).

import type { Ec2State } from '../state/ec2-state.ts'
import { refusals } from '../state/refusals.ts'
import type { SecurityGroup } from '../state/security-group.ts'

import { type Action, action } from './action.ts'
import { type FilterTable, filtered, readFilters } from './filters.ts'
import { withIds } from './ids.ts'
import { page, readPage } from './page.ts'
import { tagSet } from './tag-parameters.ts'
import type { XmlElements } from './xml.ts'

const pageLimits = { least: 5, most: 1000 }

export const groupFilters: FilterTable<SecurityGroup> = {
  'group-id': (group) => [group.groupId],
  'group-name': (group) => [group.groupName],
  'vpc-id': (group) => [group.vpcId],
}

export const describeSecurityGroups: Action = action(
  (parameters) => {
    const ids = parameters.at('GroupId').texts()
    return { ids, filters: readFilters(parameters), pages: readPage(parameters, pageLimits) }
  },
  (state, { ids, filters, pages }) => {
    const named = withIds(state.groups(), ids, 'sg', (group) => group.groupId, refusals.groupNotFound)
    const { items, nextToken } = page(filtered(named, filters, groupFilters), pages)
    return { securityGroupInfo: items.map((group) => groupElement(state, group)), nextToken }
  },
)

function groupElement(state: Ec2State, group: SecurityGroup): XmlElements {
  return {
    groupId: group.groupId,
    groupName: group.groupName,
    groupDescription: group.groupName,
    vpcId: group.vpcId,
    ownerId: state.accountId,
    tagSet: tagSet(group.tags),
  }
}
