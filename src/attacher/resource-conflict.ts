// Several NodeENIs may serve one resource, and their ENIs are one pool: a pod must not care which one it got. Pure.
import { type NodeENI, type NodeENISpec, userspaceDriverOf } from '../api/node-eni.ts'

/** Why this NodeENI must not serve its resource: it disagrees with an older one that may select the same nodes. */
export function conflictOf(nodeENI: NodeENI, all: readonly NodeENI[]): string | undefined {
  const { spec, metadata } = nodeENI
  if (spec.dpdkResourceName === undefined) return undefined
  for (const other of all) {
    if (other.metadata.uid === metadata.uid || other.spec.dpdkResourceName !== spec.dpdkResourceName) continue
    if (!isOlder(other, nodeENI) || !canMeet(spec, other.spec)) continue
    const field = differingField(spec, other.spec)
    if (field === undefined) continue
    return `${field} differs from NodeENI ${other.metadata.name}, which serves ${spec.dpdkResourceName} on the same nodes`
  }
  return undefined
}

function isOlder(a: NodeENI, b: NodeENI): boolean {
  const age = ({ metadata }: NodeENI) => `${metadata.creationTimestamp ?? ''} ${metadata.name}`
  return age(a) < age(b)
}

/** Two selectors exclude each other only when they want different values for one label. */
function canMeet(a: NodeENISpec, b: NodeENISpec): boolean {
  return Object.entries(a.nodeSelector).every(([key, value]) => (b.nodeSelector[key] ?? value) === value)
}

function differingField(a: NodeENISpec, b: NodeENISpec): string | undefined {
  if (userspaceDriverOf(a) !== userspaceDriverOf(b)) return 'the driver (enableDPDK, dpdkDriver)'
  if (groupsOf(a) !== groupsOf(b)) return 'securityGroupIDs or securityGroupNames'
  if (a.sourceDestCheck !== b.sourceDestCheck) return 'sourceDestCheck'
  return (a.mtu ?? 0) === (b.mtu ?? 0) ? undefined : 'mtu'
}

function groupsOf({ securityGroupIDs = [], securityGroupNames = [] }: NodeENISpec): string {
  return JSON.stringify([securityGroupIDs.toSorted(), securityGroupNames.toSorted()])
}
