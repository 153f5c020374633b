// DescribeNetworkInterfaces: by ids, or by filters and pages.

import type { Ec2State } from '../state/ec2-state.ts'
import type { NetworkInterface } from '../state/network-interface.ts'
import { refusals } from '../state/refusals.ts'
import { zoneId } from '../state/zone-id.ts'

import { type Action, action } from './action.ts'
import { type FilterTable, filtered, readFilters } from './filters.ts'
import { withIds } from './ids.ts'
import { interfaceElement } from './interface-element.ts'
import { page, readPage } from './page.ts'

const pageLimits = { least: 5, most: 1000 }

export const interfaceFilters = (state: Ec2State): FilterTable<NetworkInterface> => ({
  'network-interface-id': (eni) => [eni.eniId],
  'attachment.attachment-id': (eni) => [eni.attachment?.attachmentId],
  'attachment.instance-id': (eni) => [eni.attachment?.instanceId],
  'attachment.status': (eni) => [eni.attachment?.status],
  'attachment.device-index': (eni) => [eni.attachment?.deviceIndex],
  'attachment.network-card-index': (eni) => [eni.attachment?.networkCard],
  'attachment.delete-on-termination': (eni) => [eni.attachment?.deleteOnTermination],
  'availability-zone': (eni) => [eni.availabilityZone],
  'availability-zone-id': (eni) => [zoneId(eni.availabilityZone)],
  description: (eni) => [eni.description],
  'group-id': (eni) => eni.groupIds,
  'interface-type': (eni) => [eni.interfaceType],
  'mac-address': (eni) => [eni.mac],
  'owner-id': () => [state.accountId],
  'private-ip-address': (eni) => eni.privateIpAddresses,
  'addresses.private-ip-address': (eni) => eni.privateIpAddresses,
  'requester-managed': () => [false],
  'source-dest-check': (eni) => [eni.sourceDestCheck],
  status: (eni) => [eni.status],
  'subnet-id': (eni) => [eni.subnetId],
  'vpc-id': (eni) => [eni.vpcId],
})

export const describeNetworkInterfaces: Action = action(
  (parameters) => {
    parameters.at('IncludeManagedResources').boolean() // Nothing here is managed by another AWS service.
    const ids = parameters.at('NetworkInterfaceId').texts()
    return {
      ids,
      filters: readFilters(parameters),
      pages: readPage(parameters, pageLimits, { name: 'networkInterfaceIdSet', ids }),
    }
  },
  (state, { ids, filters, pages }) => {
    const named = withIds(state.view().enis, ids, 'eni', (eni) => eni.eniId, refusals.eniNotFound)
    const { items, nextToken } = page(filtered(named, filters, interfaceFilters(state)), pages)
    return { networkInterfaceSet: items.map((eni) => interfaceElement(state, eni)), nextToken }
  },
)
