// Where a new ENI goes: subnet, network card and device index, or why there is no place for it. Pure.
import { type ENIAttachment, takesSlot } from '../api/eni-attachment.ts'
import { attachPolicyOf, type NodeENI } from '../api/node-eni.ts'
import type { Instance, InstanceType, Subnet } from './ec2.ts'
import { cardsBesideCni, chooseSlot, primarySlot, type Slot, type SlotPolicy } from './slot-map.ts'

/** This try is over for good: what to tell the pod and the user. */
export interface GivenUp {
  readonly reason: string
  readonly message: string
  /** EC2 does not take an ENI on this instance, for which there seemed to be room. */
  readonly isOfInstance?: boolean
}

export interface PlanQuestion {
  readonly nodeENI: NodeENI
  readonly instance: Instance
  readonly type: InstanceType
  /** Those of the NodeENI that have free addresses, in its order, of all zones. */
  readonly subnets: readonly Subnet[]
  /** Our other attachments on this instance, those that EC2 does not show yet included. */
  readonly siblings: readonly ENIAttachment[]
  readonly policy: SlotPolicy
}

export interface EniPlan extends Slot {
  readonly subnet: Subnet
  /** Of the budget that ENIs share with volumes, after this one; Infinity where there is none. */
  readonly attachmentsLeft: number
}

export function planEni(question: PlanQuestion): EniPlan | GivenUp {
  const { nodeENI, instance, type, siblings, policy } = question
  const { maxPerNode, deviceIndex } = nodeENI.spec
  const ofNodeENI = siblings.filter((other) => other.spec.nodeENI === nodeENI.metadata.name && isPlanned(other))
  if (maxPerNode !== undefined && ofNodeENI.length >= maxPerNode)
    return {
      reason: 'MaxPerNode',
      message: `instance ${instance.id} has ${ofNodeENI.length} ENIs of NodeENI ${nodeENI.metadata.name}: its maxPerNode is ${maxPerNode}; raise it, or add nodes`,
    }
  const subnet = chooseSubnet(question, ofNodeENI)
  if ('reason' in subnet) return subnet
  const taken = takenSlots(siblings, instance.interfaces)
  const slot = chooseSlot(cardsFor(question), taken, deviceIndex)
  if (slot === undefined)
    return {
      reason: 'NodeFull',
      message: `instance ${instance.id} (${type.name}) has no free ENI slot; add nodes, or use a type that takes more ENIs`,
    }
  // EC2 accepts an attach beyond the budget and never ends it (aws-ebs-csi-driver issue 1163).
  const budget = type.sharedAttachments
  const volumes = Math.max(instance.volumes, policy.volumes)
  const attachmentsLeft = (budget ?? Number.POSITIVE_INFINITY) - taken.length - volumes - 1
  if (attachmentsLeft < 0)
    return {
      reason: 'NodeFull',
      message: `instance ${instance.id} (${type.name}) has no free attachment: its ${budget} are shared by ${taken.length} ENIs and ${volumes} EBS volumes; add nodes, or use a type that shares none`,
    }
  return { subnet, ...slot, attachmentsLeft }
}

/** In the order in which they are to be used. */
export function cardsFor({
  nodeENI,
  instance,
  type,
  siblings,
  policy,
}: Pick<PlanQuestion, 'nodeENI' | 'instance' | 'type' | 'siblings' | 'policy'>) {
  const ours = new Set(siblings.map(({ status }) => status?.eni?.eniID))
  const foreign = instance.interfaces.filter(({ eniID }) => !ours.has(eniID))
  const cards = cardsBesideCni(type.cards, foreign, policy)
  if (attachPolicyOf(nodeENI.spec) === 'Eager' || policy.jitCards === 'zero-first') return cards
  return [...cards.filter(({ index }) => index > 0), ...cards.filter(({ index }) => index === 0)]
}

function isPlanned(attachment: ENIAttachment): boolean {
  return attachment.status?.eni?.subnetID !== undefined && takesSlot(attachment)
}

/** JustInTime: the zone's subnet with most free addresses. Eager: one ENI in each, in the order of the NodeENI. */
function chooseSubnet(
  { nodeENI, instance, subnets }: PlanQuestion,
  ofNodeENI: readonly ENIAttachment[],
): Subnet | GivenUp {
  const inZone = subnets.filter(({ zone }) => zone === instance.zone)
  const where = `no subnet of NodeENI ${nodeENI.metadata.name} in ${instance.zone} has a free address`
  const advice = 'give the NodeENI another subnet in that zone, or free addresses'
  if (attachPolicyOf(nodeENI.spec) === 'Eager') {
    const used = new Set(ofNodeENI.map(({ status }) => status?.eni?.subnetID))
    const what = used.size === 0 ? where : `${where} and no ENI of instance ${instance.id} yet`
    const message = `${what}; ${advice}`
    return inZone.find(({ id }) => !used.has(id)) ?? { reason: 'NoUsableSubnet', message }
  }
  const [most] = inZone.toSorted((a, b) => b.freeAddresses - a.freeAddresses)
  return most ?? { reason: 'NoUsableSubnet', message: `${where}; ${advice}` }
}

/**
 * Slots that EC2 shows, and those planned by our other attachments that EC2 does not show yet; nor need it show the primary interface
 * of an instance that has just been launched.
 */
export function takenSlots(siblings: readonly ENIAttachment[], interfaces: readonly Slot[]): Slot[] {
  const planned = siblings.filter(isPlanned).flatMap(({ status }) => {
    const { networkCard, deviceIndex } = status?.eni ?? {}
    return networkCard === undefined || deviceIndex === undefined ? [] : [{ networkCard, deviceIndex }]
  })
  const key = ({ networkCard, deviceIndex }: Slot) => `${networkCard}/${deviceIndex}`
  return [...new Map([primarySlot, ...interfaces, ...planned].map((slot) => [key(slot), slot])).values()]
}
