// Which ENIs a NodeENI wants on a node before any pod asks: one per subnet of the zone when Eager, `warm` idle ones else. Pure.
import { attachmentName, type ENIAttachment, isDeleting, isIdle, terminalFailure } from '../api/eni-attachment.ts'
import { attachPolicyOf, type NodeENI } from '../api/node-eni.ts'
import type { NodeFacts } from '../kube/objects.ts'
import type { Network } from './network.ts'

/**
 * @returns names of the missing ENIs. Each place on a node has one name, so that to ask again, with a cache that does not show
 *   yet what was just made, is a conflict and not an ENI too many.
 */
export function aheadOfPods(
  nodeENI: NodeENI,
  node: NodeFacts,
  network: Network,
  existing: readonly ENIAttachment[],
): string[] {
  const { metadata, spec } = nodeENI
  const most = spec.maxPerNode ?? Infinity
  const isEager = attachPolicyOf(spec) === 'Eager'
  const idle = existing.filter((attachment) => isIdle(attachment) && !isDeleting(attachment)).length
  const inZone = network.subnets.filter(({ zone }) => zone === node.zone).length
  const wanted = isEager ? inZone - existing.length : spec.warm - idle
  const count = Math.max(0, Math.min(wanted, most - existing.length))
  const taken = new Set(existing.map(({ metadata: { name } }) => name))
  const nameOf = (place: number) =>
    attachmentName(metadata.name, [isEager ? 'eager' : 'warm', metadata.uid, node.instanceID ?? '', place])
  // Among so many places there are always enough that are free.
  const places = Array.from({ length: existing.length + count }, (_, place) => nameOf(place))
  return places.filter((name) => !taken.has(name)).slice(0, count)
}

/**
 * How many of them are not attached (yet). One that a pod holds is there for Eager, whatever is to become of it when the pod ends; it
 * leaves less room for warm ones.
 */
export function notThere(
  { spec }: NodeENI,
  node: NodeFacts,
  network: Network,
  existing: readonly ENIAttachment[],
): number {
  const most = spec.maxPerNode ?? Infinity
  const isEager = attachPolicyOf(spec) === 'Eager'
  const inZone = network.subnets.filter(({ zone }) => zone === node.zone).length
  const held = existing.filter((attachment) => !isIdle(attachment)).length
  const wanted = isEager ? Math.min(inZone, most) : Math.min(spec.warm, most - held)
  const isToStay = (one: ENIAttachment) => !isDeleting(one) && terminalFailure(one) === undefined
  const attached = existing.filter(({ status }) => status?.eni?.attached === true)
  const there = attached.filter((one) => (isIdle(one) ? isToStay(one) : isEager))
  return Math.max(0, wanted - there.length)
}
