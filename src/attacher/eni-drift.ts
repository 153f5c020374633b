// In what an ENI differs from what its NodeENI says now: somebody changed the one or the other. Pure.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import { attachPolicyOf, type NodeENI } from '../api/node-eni.ts'
import type { Eni } from './ec2.ts'
import { eniDescription, eniTags } from './eni-identity.ts'
import type { Network } from './network.ts'

/** What EC2 lets be changed on an ENI that is in use. */
export type EniChange =
  | { readonly attribute: 'deleteOnTermination'; readonly attachmentID: string; readonly value: boolean }
  | { readonly attribute: 'sourceDestCheck'; readonly value: boolean }
  | { readonly attribute: 'description'; readonly value: string }
  | { readonly attribute: 'securityGroups'; readonly value: readonly string[] }
  | { readonly attribute: 'tags'; readonly value: ReadonlyMap<string, string> }

/** `network` is undefined while it is not known, or something is wrong with it: the groups then stay as they are. */
export function changesFor(
  eni: Eni,
  attachment: ENIAttachment,
  nodeENI: NodeENI,
  network: Network | undefined,
  clusterName: string,
): EniChange[] {
  const { spec } = nodeENI
  const changes: EniChange[] = []
  if (eni.attachment !== undefined && eni.attachment.deleteOnTermination !== spec.deleteOnTermination)
    changes.push({ attribute: 'deleteOnTermination', attachmentID: eni.attachment.id, value: spec.deleteOnTermination })
  if (eni.sourceDestCheck !== spec.sourceDestCheck)
    changes.push({ attribute: 'sourceDestCheck', value: spec.sourceDestCheck })
  const description = eniDescription(attachment, nodeENI)
  if (eni.description !== description) changes.push({ attribute: 'description', value: description })
  if (network !== undefined && !isSameSet(eni.securityGroupIDs, network.securityGroupIDs))
    changes.push({ attribute: 'securityGroups', value: network.securityGroupIDs })
  // Tags of others stay: who pays and who looks after what is often said in them.
  const tags = [...eniTags(attachment, nodeENI, clusterName)].filter(([key, value]) => eni.tags.get(key) !== value)
  if (tags.length > 0) changes.push({ attribute: 'tags', value: new Map(tags) })
  return changes
}

/** The ENI as it is after the change. */
export function changed(eni: Eni, change: EniChange): Eni {
  switch (change.attribute) {
    case 'deleteOnTermination':
      return eni.attachment === undefined
        ? eni
        : { ...eni, attachment: { ...eni.attachment, deleteOnTermination: change.value } }
    case 'sourceDestCheck':
      return { ...eni, sourceDestCheck: change.value }
    case 'description':
      return { ...eni, description: change.value }
    case 'securityGroups':
      return { ...eni, securityGroupIDs: change.value }
    case 'tags':
      return { ...eni, tags: new Map([...eni.tags, ...change.value]) }
  }
}

/** What only another ENI can put right. Empty: nothing. */
export function outdatedIn({ status }: ENIAttachment, { spec }: NodeENI, network: Network): string[] {
  const { subnetID, addresses, deviceIndex, firstDeviceIndex = spec.deviceIndex } = status?.eni ?? {}
  const outdated: string[] = []
  // An ENI at the next free index is as it should be; one for which another index was tried first is not. No pod asks for an index,
  // so that it matters only where the ENIs of a node are always the same.
  const wasPlannedElsewhere = firstDeviceIndex !== spec.deviceIndex && deviceIndex !== spec.deviceIndex
  if (wasPlannedElsewhere && attachPolicyOf(spec) === 'Eager') outdated.push('deviceIndex')
  if (subnetID !== undefined && !network.subnets.some(({ id }) => id === subnetID)) outdated.push('subnet')
  if (addresses !== undefined) {
    const ipv6 = addresses.filter((address) => address.includes(':')).length
    if (ipv6 !== spec.ipv6AddressCount) outdated.push('ipv6AddressCount')
    if (addresses.length - ipv6 !== spec.secondaryPrivateIPv4AddressCount + 1)
      outdated.push('secondaryPrivateIPv4AddressCount')
  }
  return outdated
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one))
}
