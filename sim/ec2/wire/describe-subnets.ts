// DescribeSubnets: with the count of free addresses as it is now.

import type { Ec2State } from '../state/ec2-state.ts'
import { refusals } from '../state/refusals.ts'
import type { Subnet } from '../state/subnet.ts'
import { zoneId } from '../state/zone-id.ts'

import { type Action, action } from './action.ts'
import { type FilterTable, filtered, readFilters } from './filters.ts'
import { withIds } from './ids.ts'
import { page, readPage } from './page.ts'
import { tagSet } from './tag-parameters.ts'
import type { XmlElements } from './xml.ts'

const pageLimits = { least: 5, most: 1000 }

export const subnetFilters: FilterTable<Subnet> = {
  'subnet-id': (subnet) => [subnet.subnetId],
  'vpc-id': (subnet) => [subnet.vpcId],
  'availability-zone': (subnet) => [subnet.availabilityZone],
  'availability-zone-id': (subnet) => [zoneId(subnet.availabilityZone)],
  'available-ip-address-count': (subnet) => [subnet.addresses.free],
  'cidr-block': (subnet) => [subnet.cidrBlock],
  state: () => ['available'],
}

export const describeSubnets: Action = action(
  (parameters) => {
    const ids = parameters.at('SubnetId').texts()
    return { ids, filters: readFilters(parameters), pages: readPage(parameters, pageLimits) }
  },
  (state, { ids, filters, pages }) => {
    const named = withIds(state.subnets(), ids, 'subnet', (subnet) => subnet.subnetId, refusals.subnetNotFound)
    const { items, nextToken } = page(filtered(named, filters, subnetFilters), pages)
    return { subnetSet: items.map((subnet) => subnetElement(state, subnet)), nextToken }
  },
)

function subnetElement(state: Ec2State, subnet: Subnet): XmlElements {
  const { subnetId, ipv6CidrBlock } = subnet
  return {
    subnetId,
    subnetArn: `arn:aws:ec2:${state.region}:${state.accountId}:subnet/${subnetId}`,
    state: 'available',
    vpcId: subnet.vpcId,
    ownerId: state.accountId,
    availabilityZone: subnet.availabilityZone,
    availabilityZoneId: zoneId(subnet.availabilityZone),
    cidrBlock: subnet.cidrBlock,
    ipv6CidrBlockAssociationSet:
      ipv6CidrBlock === undefined ? [] : [{ ipv6CidrBlock, ipv6CidrBlockState: { state: 'associated' } }],
    availableIpAddressCount: subnet.addresses.free,
    tagSet: tagSet(subnet.tags),
  }
}
