// An interface in XML, with the element names of the API reference: on its own and as DescribeInstances shows it.

import type { Ec2State } from '../state/ec2-state.ts'
import type { Attachment, NetworkInterface } from '../state/network-interface.ts'
import { zoneId } from '../state/zone-id.ts'

import { tagSet } from './tag-parameters.ts'
import type { XmlElements, XmlValue } from './xml.ts'

export function interfaceElement(state: Ec2State, eni: NetworkInterface): XmlElements {
  return {
    ...sharedElements(state, eni),
    availabilityZone: eni.availabilityZone,
    availabilityZoneId: zoneId(eni.availabilityZone),
    requesterManaged: false,
    attachment: eni.attachment && {
      ...attachmentElements(eni.attachment),
      instanceId: eni.attachment.instanceId,
      instanceOwnerId: state.accountId,
    },
    tagSet: tagSet(eni.tags),
  }
}

/** DescribeInstances leaves out the instance and the tags. */
export function interfaceOfInstanceElement(state: Ec2State, eni: NetworkInterface): XmlElements {
  return { ...sharedElements(state, eni), attachment: eni.attachment && attachmentElements(eni.attachment) }
}

export function groupSet(state: Ec2State, groupIds: readonly string[]): XmlValue {
  return groupIds.map((groupId) => ({ groupId, groupName: state.groupName(groupId) }))
}

function sharedElements(state: Ec2State, eni: NetworkInterface): XmlElements {
  return {
    networkInterfaceId: eni.eniId,
    subnetId: eni.subnetId,
    vpcId: eni.vpcId,
    description: eni.description,
    ownerId: state.accountId,
    status: eni.status,
    macAddress: eni.mac,
    privateIpAddress: eni.privateIpAddresses[0],
    sourceDestCheck: eni.sourceDestCheck,
    interfaceType: eni.interfaceType,
    groupSet: groupSet(state, eni.groupIds),
    privateIpAddressesSet: eni.privateIpAddresses.map((privateIpAddress, at) => ({
      privateIpAddress,
      primary: at === 0,
    })),
    ipv6AddressesSet: eni.ipv6Addresses.map((ipv6Address) => ({ ipv6Address })),
  }
}

function attachmentElements(attachment: Attachment): XmlElements {
  return {
    attachmentId: attachment.attachmentId,
    deviceIndex: attachment.deviceIndex,
    networkCardIndex: attachment.networkCard,
    status: attachment.status,
    attachTime: new Date(attachment.attachTime).toISOString(),
    deleteOnTermination: attachment.deleteOnTermination,
    enaSrdSpecification: attachment.enaExpress ? { enaSrdEnabled: true } : undefined,
  }
}
