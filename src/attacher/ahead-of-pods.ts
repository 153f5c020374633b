// Which ENIs a NodeENI wants on a node before any pod asks: one per subnet of the zone when Eager, `warm` idle ones else. Pure.
import { type ENIAttachment, isDeleting, isIdle } from '../api/eni-attachment.ts'
import { attachPolicyOf, type NodeENI } from '../api/node-eni.ts'
import type { NodeFacts } from '../kube/objects.ts'
import type { Network } from './network.ts'

/** @returns for each missing ENI what makes its name (attachmentName); the same state gives the same names */
export function aheadOfPods(
  { metadata, spec }: NodeENI,
  node: NodeFacts,
  network: Network,
  existing: readonly ENIAttachment[],
): (string | number)[][] {
  const instance = node.instanceID ?? ''
  if (attachPolicyOf(spec) === 'Eager') {
    const inZone = network.subnets.filter(({ zone }) => zone === node.zone).length
    const wanted = Math.min(inZone, spec.maxPerNode ?? inZone)
    return missing(existing.length, wanted).map((place) => ['eager', metadata.uid, instance, place, existing.length])
  }
  const live = existing.filter((attachment) => !isDeleting(attachment))
  const idle = live.filter(isIdle).length
  const wanted = Math.min(
    spec.warm,
    idle + Math.max(0, (spec.maxPerNode ?? spec.warm + existing.length) - existing.length),
  )
  return missing(idle, wanted).map((place) => [
    'warm',
    metadata.uid,
    instance,
    place,
    existing
      .map((a) => a.metadata.uid)
      .sort()
      .join(),
  ])
}

function missing(has: number, wanted: number): number[] {
  return Array.from({ length: Math.max(0, wanted - has) }, (_, i) => has + i)
}
