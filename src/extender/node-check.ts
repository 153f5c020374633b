// The rule that decides which node can have a pod's devices: already there and free, or an ENI that can still be attached.
// A pure function of the ledger; filter, prioritize, preempt, bind and wake-up all ask it.
import { type ENIAttachment, isIdle } from '../api/eni-attachment.ts'
import { slotsFor } from '../api/node-capacity.ts'
import { isReady, type NodeENI, selectsNode } from '../api/node-eni.ts'
import type { Demand } from '../api/pod-demand.ts'
import type { NodeFacts } from '../kube/objects.ts'
import { isUsable, type Ledger } from './ledger.ts'

/** Constant texts: kube-scheduler counts nodes by identical reason, and a text that changes re-queues the pod for ever. */
export const refusals = {
  unknownNode: 'node is not an EC2 instance that jit-eni knows',
  pluginNotRegistered: 'ENI device plugin has not registered the resource',
  pluginSilent: 'ENI device plugin does not acknowledge a free device',
  noNodeENI: 'no NodeENI serves the resource on this node',
  nodeENINotReady: 'NodeENI is not ready (see kubectl describe neni)',
  noSubnetInZone: "NodeENI has no subnet in the node's zone",
  subnetsExhausted: "NodeENI's subnets in the zone have no free address",
  maxPerNode: 'NodeENI maxPerNode is reached',
  capacityUnknown: "instance's ENI capacity is not known yet",
  noSlot: 'no free ENI slot',
  claimedElsewhere: 'pod has its ENI claimed on another node',
} as const
export type Refusal = (typeof refusals)[keyof typeof refusals]

/** How a node would serve the demand of one resource. */
export interface ResourcePlan {
  readonly resource: string
  /** Devices that the pod has claimed here already. */
  readonly mine: readonly ENIAttachment[]
  /** Idle devices to claim, those ready soonest first. */
  readonly reuse: readonly ENIAttachment[]
  /** ENIs to attach. */
  readonly attach: readonly NodeENI[]
}

export type Verdict =
  | { readonly fits: true; readonly plans: readonly ResourcePlan[]; readonly slotsLeft: number }
  | { readonly fits: false; readonly refusal: Refusal }

export function checkNode(ledger: Ledger, nodeName: string, demand: Demand, podUID: string): Verdict {
  const node = ledger.node(nodeName)
  if (node?.instanceID === undefined) return refuse(refusals.unknownNode)
  if (ledger.isSuspended(nodeName)) return refuse(refusals.pluginSilent)
  const onNode = ledger.attachmentsOn(nodeName)
  const ours = onNode.filter((attachment) => ledger.isOnItsInstance(attachment))
  let slotsLeft = node.capacity === undefined ? 0 : slotsFor(node.capacity) - ours.length
  const plans: ResourcePlan[] = []
  for (const [resource, count] of demand) {
    if (!node.registered.has(resource)) return refuse(refusals.pluginNotRegistered)
    const plan = planFrom(ours, resource, count, podUID)
    const missing = count - plan.mine.length - plan.reuse.length
    if (missing > 0) {
      const attach = nodeENIsFor(ledger.servers(resource), node, ours, missing)
      if (!Array.isArray(attach)) return refuse(attach)
      if (node.capacity?.instanceID !== node.instanceID) return refuse(refusals.capacityUnknown)
      slotsLeft -= missing
      if (slotsLeft < 0) return refuse(refusals.noSlot)
      plans.push({ ...plan, attach })
    } else plans.push({ ...plan, attach: [] })
  }
  return { fits: true, plans, slotsLeft }
}

function refuse(refusal: Refusal): Verdict {
  return { fits: false, refusal }
}

function planFrom(
  ours: readonly ENIAttachment[],
  resource: string,
  count: number,
  podUID: string,
): Omit<ResourcePlan, 'attach'> {
  const usable = ours.filter((a) => a.spec.resourceName === resource && isUsable(a))
  const mine = usable.filter((a) => a.spec.claim?.uid === podUID)
  const idle = usable.filter((a) => isIdle(a) && a.status?.device?.health !== 'Unhealthy').sort(byReadiness)
  return { resource, mine, reuse: idle.slice(0, Math.max(0, count - mine.length)) }
}

function byReadiness(a: ENIAttachment, b: ENIAttachment): number {
  return progress(b) - progress(a)
}

function progress({ status }: ENIAttachment): number {
  if (status?.device?.advertised === true) return 3
  if (status?.eni?.attached === true) return 2
  return status?.eni?.eniID === undefined ? 0 : 1
}

/** One NodeENI per missing device, or why there is none. Of several the first by name with a usable subnet serves. */
function nodeENIsFor(
  servers: readonly NodeENI[],
  node: NodeFacts,
  ours: readonly ENIAttachment[],
  missing: number,
): NodeENI[] | Refusal {
  let refusal: Refusal = refusals.noNodeENI
  const chosen: NodeENI[] = []
  for (const nodeENI of servers) {
    if (!selectsNode(nodeENI.spec, node.labels)) continue
    const unusable = whyUnusable(nodeENI, node)
    if (unusable !== undefined) {
      refusal = unusable
      continue
    }
    const has = ours.filter(({ spec }) => spec.nodeENI === nodeENI.metadata.name).length
    const room = Math.max(0, (nodeENI.spec.maxPerNode ?? Number.POSITIVE_INFINITY) - has)
    while (chosen.length < missing && chosen.filter((c) => c === nodeENI).length < room) chosen.push(nodeENI)
    if (chosen.length === missing) return chosen
    refusal = refusals.maxPerNode
  }
  return refusal
}

function whyUnusable(nodeENI: NodeENI, node: NodeFacts): Refusal | undefined {
  const subnets = nodeENI.status?.subnets ?? []
  const inZone = subnets.filter(({ availabilityZone }) => availabilityZone === node.zone)
  if (subnets.length > 0 && inZone.length === 0) return refusals.noSubnetInZone
  if (!isReady(nodeENI)) return refusals.nodeENINotReady
  if (inZone.length === 0) return refusals.noSubnetInZone
  if (inZone.every(({ exhausted }) => exhausted)) return refusals.subnetsExhausted
  return undefined
}
