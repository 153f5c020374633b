// What one node has for pods, by resource, and what of it is taken: a pure count of the facts, in which nothing is remembered.
// The ledger keeps it until one of the facts changes.
import {
  type ENIAttachment,
  type Failure,
  isDeleting,
  isIdle,
  takesSlot,
  terminalFailure,
} from '../api/eni-attachment.ts'
import { slotsFor, slotsOnCards } from '../api/node-capacity.ts'
import type { DemandingPod, NodeFacts, UnreadableAttachment } from '../kube/objects.ts'

export interface NodeState {
  readonly node: NodeFacts | undefined
  /** All that name the node, also those that an earlier instance of its name left behind. */
  readonly attachments: readonly ENIAttachment[]
  readonly unreadable: readonly UnreadableAttachment[]
  /** Pods bound to the node that ask for devices and have not ended, whichever scheduler bound them. */
  readonly pods: readonly DemandingPod[]
  /** Whether the pod of a claim is known to need nothing of this node any more. */
  readonly isOver: (podUID: string) => boolean
}

export interface NodeAccount {
  readonly node: NodeFacts | undefined
  /** ENIs that still fit beside ours; the node has the smaller of both. Negative when there are too many, 0 while nothing is known. */
  readonly slotsLeft: number
  readonly cardSlotsLeft: number
  /** NodeENI -> ENIs of it that take a slot. */
  readonly countByNodeENI: ReadonlyMap<string, number>
  /** ENIs on their way to the node. */
  readonly attaching: number
  readonly resources: ReadonlyMap<string, ResourceAccount>
}

export interface ResourceAccount {
  /** Devices that a pod has claimed, by its UID, also those that are still on their way. */
  readonly claimed: ReadonlyMap<string, readonly ENIAttachment[]>
  /** Devices for the next pod, those ready soonest first; without those that pods on the node have yet to get from the kubelet. */
  readonly idle: readonly ENIAttachment[]
  /** Devices that become idle by themselves within moments: the pod that had them has ended. */
  readonly soon: readonly ENIAttachment[]
  /** An ENI is there whose device the plugin cannot offer now: one more would fail alike, and each stays for releaseAfter. */
  readonly isFailing: boolean
}

export const nothing: ResourceAccount = { claimed: new Map(), idle: [], soon: [], isFailing: false }

export function accountOf(state: NodeState): NodeAccount {
  const { node, attachments, unreadable } = state
  const ours = attachments.filter(({ spec }) => spec.instanceID === node?.instanceID)
  // Where the instance cannot be read, it may be this one.
  const hidden = unreadable.filter(({ place }) => [undefined, node?.instanceID].includes(place.instanceID))
  const taking = ours.filter(takesSlot)
  const taken = taking.length + hidden.length
  const nodeENIs = [...taking.map(({ spec }) => spec.nodeENI), ...hidden.map(({ place }) => place.nodeENI)]
  const capacity = node?.capacity
  const byResource = Map.groupBy(ours, ({ spec }) => spec.resourceName ?? '')
  return {
    node,
    slotsLeft: capacity === undefined ? 0 : slotsFor(capacity) - taken,
    cardSlotsLeft: capacity === undefined ? 0 : slotsOnCards(capacity) - taken,
    countByNodeENI: countsOf(nodeENIs.filter((name) => name !== undefined)),
    attaching: ours.filter((one) => isUsable(one) && one.status?.eni?.attached !== true).length,
    resources: new Map([...byResource].map(([resource, its]) => [resource, accountOfResource(resource, its, state)])),
  }
}

function accountOfResource(resource: string, ours: readonly ENIAttachment[], state: NodeState): ResourceAccount {
  const usable = ours.filter(isUsable)
  const healthy = usable.filter(({ status }) => status?.device?.health !== 'Unhealthy')
  const idle = healthy.filter(isIdle).sort((a, b) => progress(b) - progress(a))
  const owed = state.pods.reduce((sum, pod) => sum + owedTo(pod, resource, ours), 0)
  // The kubelet gives a pod that waits one of those that it has been offered.
  const ready = idle.filter(({ status }) => status?.device?.advertised === true).length
  return {
    claimed: Map.groupBy(
      usable.filter(({ spec }) => spec.claim !== undefined),
      ({ spec }) => spec.claim?.uid ?? '',
    ),
    idle: idle.slice(Math.min(owed, ready)),
    soon: healthy.filter((one) => !isIdle(one) && isLeft(one, state)),
    isFailing: usable.some((one) => deviceFailure(one) !== undefined),
  }
}

/** Devices of its demand that a pod on the node has neither claimed nor got. */
function owedTo(pod: DemandingPod, resource: string, ours: readonly ENIAttachment[]): number {
  const has = ours.filter(({ spec, status }) => {
    const holder = status?.device?.inUseBy
    return spec.claim?.uid === pod.uid || (holder?.namespace === pod.namespace && holder.name === pod.name)
  })
  return Math.max(0, (pod.demand.get(resource) ?? 0) - has.length)
}

/** The device plugin knows the holder by name only: a pod of that name that is not bound to this node is another one. */
function isLeft({ spec, status }: ENIAttachment, { pods, isOver }: NodeState): boolean {
  if (spec.claim !== undefined && !isOver(spec.claim.uid)) return false
  const holder = status?.device?.inUseBy
  return !pods.some(({ namespace, name }) => namespace === holder?.namespace && name === holder.name)
}

function progress({ status }: ENIAttachment): number {
  if (status?.device?.advertised === true) return 3
  if (status?.eni?.attached === true) return 2
  return status?.eni?.eniID === undefined ? 0 : 1
}

function countsOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

/** May serve a pod: not being released, not failed for good. */
export function isUsable(attachment: ENIAttachment): boolean {
  return !isDeleting(attachment) && terminalFailure(attachment) === undefined
}

/** Why the device plugin cannot offer it now, though it tries again. */
export function deviceFailure({ status }: ENIAttachment): Failure | undefined {
  return status?.device?.inUseBy === undefined ? status?.device?.failure : undefined
}
