// The rule that decides which node can have a pod's devices: already there and free, or an ENI that can still be attached.
// A pure function of the ledger; filter, prioritize, preempt, bind and wake-up all ask it.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import { attachPolicyOf, isReady, type NodeENI, selectsNode } from '../api/node-eni.ts'
import type { Demand } from '../api/pod-demand.ts'
import type { NodeFacts } from '../kube/objects.ts'
import type { Ledger } from './ledger.ts'
import { type NodeAccount, nothing } from './node-account.ts'

/** Constant texts: kube-scheduler counts nodes by identical reason, and a text that changes re-queues the pod for ever. */
export const refusals = {
  unknownNode: 'node is not an EC2 instance that jit-eni knows',
  terminating: 'node is being removed',
  cordoned: 'node is cordoned',
  pluginNotRegistered: 'ENI device plugin has not registered the resource',
  pluginSilent: 'ENI device plugin does not acknowledge a free device',
  noNodeENI: 'no NodeENI serves the resource',
  notSelected: 'node matches no nodeSelector of a NodeENI',
  noZone: 'node has no label topology.kubernetes.io/zone',
  noSubnetInZone: "NodeENI has no subnet in the node's zone",
  nodeENINotReady: 'NodeENI is not ready (see kubectl describe neni)',
  nodeRefuses: 'node cannot use the NodeENI (see kubectl describe node)',
  eagerInUse: 'no free ENI of an Eager NodeENI on this node',
  subnetsExhausted: "NodeENI's subnets in the zone have no free address",
  maxPerNode: 'NodeENI maxPerNode is reached',
  deviceFailed: 'an ENI on the node cannot be used (kubectl describe enia)',
  capacityUnknown: "instance's ENI capacity is not known yet",
  typeUnknown: "EC2 does not describe the node's instance type",
  noSlot: 'no free ENI slot',
  budgetUsed: 'ENIs and volumes use all attachments of the instance',
  claimedElsewhere: 'pod has its ENI claimed on another node',
} as const
export type Refusal = (typeof refusals)[keyof typeof refusals]

/** What stands against a NodeENI, the farthest from a device first: of several the pod hears what is the least. */
const nodeENIRefusals: readonly Refusal[] = [
  refusals.noNodeENI,
  refusals.notSelected,
  refusals.noZone,
  refusals.noSubnetInZone,
  refusals.nodeENINotReady,
  refusals.nodeRefuses,
  refusals.eagerInUse,
  refusals.subnetsExhausted,
  refusals.maxPerNode,
]

/** How a node would serve the demand of one resource. */
export interface ResourcePlan {
  readonly resource: string
  /** Devices that the pod has claimed here already. */
  readonly mine: readonly ENIAttachment[]
  /** Idle devices to claim, those ready soonest first. */
  readonly reuse: readonly ENIAttachment[]
  /** Devices that become idle by themselves within moments, of which each saves an attach: worth a short wait. */
  readonly soon: readonly ENIAttachment[]
  /** ENIs to attach where nobody waits. */
  readonly attach: readonly NodeENI[]
}

export type Verdict =
  | { readonly fits: true; readonly plans: readonly ResourcePlan[]; readonly slotsLeft: number }
  | { readonly fits: false; readonly refusal: Refusal }

export function checkNode(ledger: Ledger, nodeName: string, demand: Demand, podUID: string): Verdict {
  const account = ledger.account(nodeName)
  const { node } = account
  if (node?.instanceID === undefined) return refuse(refusals.unknownNode)
  if (ledger.isSuspended(nodeName)) return refuse(refusals.pluginSilent)
  let slotsLeft = account.slotsLeft
  const plans: ResourcePlan[] = []
  for (const [resource, count] of demand) {
    const has = account.resources.get(resource) ?? nothing
    const mine = has.claimed.get(podUID) ?? []
    const reuse = has.idle.slice(0, Math.max(0, count - mine.length))
    const missing = count - mine.length - reuse.length
    // One more than there are slots says as much as a million.
    const countable = Math.min(missing, Math.max(0, slotsLeft) + 1)
    const attach = missing > 0 ? nodeENIsFor(ledger.nodeENIsOf(resource), node, account, countable) : []
    if (!Array.isArray(attach)) return refuse(attach)
    if (count > 0 && !node.registered.has(resource)) return refuse(refusals.pluginNotRegistered)
    if (missing > 0) {
      // What failed for good stands in `capacity.refused`.
      if (has.isFailing) return refuse(refusals.deviceFailed)
      if (node.capacity?.instanceID !== node.instanceID) return refuse(refusals.capacityUnknown)
      if (node.capacity.unknownType) return refuse(refusals.typeUnknown)
      slotsLeft -= missing
      if (slotsLeft < 0) {
        const isBudget = account.cardSlotsLeft - (account.slotsLeft - slotsLeft) >= 0
        return refuse(isBudget ? refusals.budgetUsed : refusals.noSlot)
      }
    }
    plans.push({ resource, mine, reuse, soon: has.soon.slice(0, missing), attach })
  }
  return { fits: true, plans, slotsLeft }
}

function refuse(refusal: Refusal): Verdict {
  return { fits: false, refusal }
}

/** One NodeENI per missing device, or why there is none. Of several the first by name with a usable subnet serves. */
function nodeENIsFor(
  nodeENIs: readonly NodeENI[],
  node: NodeFacts,
  { countByNodeENI }: NodeAccount,
  missing: number,
): NodeENI[] | Refusal {
  const chosen: NodeENI[] = []
  let nearest: Refusal = refusals.noNodeENI
  const reject = (refusal: Refusal) => {
    if (nodeENIRefusals.indexOf(refusal) > nodeENIRefusals.indexOf(nearest)) nearest = refusal
  }
  for (const nodeENI of nodeENIs) {
    if (chosen.length >= missing) break
    if (!selectsNode(nodeENI.spec, node.labels)) {
      reject(refusals.notSelected)
      continue
    }
    const unusable = whyUnusable(nodeENI, node)
    if (unusable !== undefined) {
      reject(unusable)
      continue
    }
    const has = countByNodeENI.get(nodeENI.metadata.name) ?? 0
    const room = Math.max(0, (nodeENI.spec.maxPerNode ?? Number.POSITIVE_INFINITY) - has)
    const length = Math.min(room, missing - chosen.length)
    chosen.push(...Array.from({ length }, () => nodeENI))
    reject(refusals.maxPerNode)
  }
  return chosen.length >= missing ? chosen : nearest
}

function whyUnusable(nodeENI: NodeENI, node: NodeFacts): Refusal | undefined {
  const { metadata, spec, status } = nodeENI
  const subnets = status?.subnets ?? []
  const inZone = subnets.filter(({ availabilityZone }) => availabilityZone === node.zone)
  if (node.zone === undefined) return refusals.noZone
  if (subnets.length > 0 && inZone.length === 0) return refusals.noSubnetInZone
  if (!isReady(nodeENI)) return refusals.nodeENINotReady
  if (inZone.length === 0) return refusals.noSubnetInZone
  const refused = node.capacity?.refused ?? []
  if (refused.some((one) => one.nodeENI === metadata.name && one.generation === metadata.generation))
    return refusals.nodeRefuses
  if (attachPolicyOf(spec) === 'Eager') return refusals.eagerInUse
  return inZone.every(({ exhausted }) => exhausted) ? refusals.subnetsExhausted : undefined
}
