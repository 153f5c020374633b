// Whether an installation has come to rest: nothing is on its way that would soon look different by itself.
import { type ENIAttachment, isDeleting, isIdle } from '../../src/api/eni-attachment.ts'
import type { ObservedPod } from '../../sim/installation/observer.ts'

export function isAtRest(pods: readonly ObservedPod[], attachments: readonly ENIAttachment[]): boolean {
  return !pods.some(isOnItsWay) && attachments.every((one) => hasArrived(one) && isWithItsPod(one, pods))
}

/** A pod without a node may wait for a slot for ever. */
function isOnItsWay({ deleting, nodeName, phase }: ObservedPod): boolean {
  return deleting || (nodeName !== undefined && phase === 'Pending')
}

/** Attached, or kept from its release by the pod that uses it. */
function hasArrived(attachment: ENIAttachment): boolean {
  return isDeleting(attachment) ? !isIdle(attachment) : attachment.status?.eni?.attached === true
}

/** The pod of its claim has been bound, and the claim has followed the pod that holds the device. */
function isWithItsPod({ spec, status }: ENIAttachment, pods: readonly ObservedPod[]): boolean {
  const { claim } = spec
  const holder = status?.device?.inUseBy
  if (holder !== undefined && (claim?.name !== holder.name || claim.namespace !== holder.namespace)) return false
  return claim === undefined || pods.some(({ uid, phase }) => uid === claim.uid && phase === 'Running')
}
