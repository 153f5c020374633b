// Where on its instance an ENI goes, and into which subnet, by what is known of EC2 and, where that may not do, by what it says now.
import { type ENIAttachment, type Place, terminalFailure } from '../api/eni-attachment.ts'
import type { NodeENI } from '../api/node-eni.ts'
import type { AttachmentStore } from './attachment-store.ts'
import type { Instance, InstanceType } from './ec2.ts'
import { cardsFor, type EniPlan, type GivenUp, planEni, takenSlots } from './eni-plan.ts'
import type { Inventory } from './inventory.ts'
import { addressesOf, type Network, type Networks } from './network.ts'
import { urgencyOf } from './urgency.ts'
import { chooseSlot, type Slot, type SlotPolicy } from './slot-map.ts'

/** More volumes than these are not attached to one instance between two sweeps (node-sweep.ts). */
const unseenVolumesMax = 8

export interface EniPlacementParts {
  readonly store: AttachmentStore
  readonly inventory: Inventory
  readonly networks: Networks
  readonly policy: SlotPolicy
}

/** The number that the next plan for it gets: each has its own client token. */
export function nextAttempt({ status }: ENIAttachment): number {
  return (status?.eni?.attempt ?? 0) + 1
}

export class EniPlacement {
  readonly #parts: EniPlacementParts

  constructor(parts: EniPlacementParts) {
    this.#parts = parts
  }

  /** For an ENI that is to be made; its addresses are counted as taken from now on. @throws Ec2Error */
  async choose(intent: ENIAttachment, nodeENI: NodeENI, network: Network): Promise<EniPlan | GivenUp> {
    const { networks } = this.#parts
    const plan = await this.#plan(intent, nodeENI, network)
    if (!('reason' in plan)) {
      const attempt = nextAttempt(intent)
      const takenAtMs = () => this.#takenAtMs(intent, attempt)
      networks.debit(plan.subnet.id, addressesOf(nodeENI), takenAtMs, `${intent.metadata.uid}/${attempt}`)
    }
    return plan
  }

  /** Its create may wait for its turn for minutes, and its plan is over when EC2 refuses it. */
  #takenAtMs({ metadata }: ENIAttachment, attempt: number): number {
    const now = this.#parts.store.get(metadata.name)
    if (now?.metadata.uid !== metadata.uid) return -Infinity
    const { attempt: latest = 0, subnetID, eniID, createdTime = '' } = now.status?.eni ?? {}
    if (latest > attempt || (latest === attempt && subnetID === undefined)) return -Infinity
    if (eniID !== undefined) return Date.parse(createdTime)
    return terminalFailure(now) === undefined ? Infinity : -Infinity
  }

  /** For an ENI that is there, after EC2 has refused these slots as taken. @throws Ec2Error */
  async nextSlot(created: ENIAttachment, nodeENI: NodeENI, refused: readonly Slot[]): Promise<Slot | undefined> {
    const { policy } = this.#parts
    const instance = await this.#instanceNow(created)
    if (instance === undefined) return undefined
    const siblings = this.#siblings(created)
    const taken = [...takenSlots(siblings, instance.interfaces), ...refused]
    const cards = cardsFor({ nodeENI, instance, type: this.#typeOf(instance), siblings, policy })
    return chooseSlot(cards, taken, nodeENI.spec.deviceIndex)
  }

  /** By what is known, which may be minutes old: EC2 is not asked. */
  mayHaveRoom(place: Place, nodeENI: NodeENI, network: Network): boolean {
    const { inventory, store } = this.#parts
    const known = inventory.instance(place.instanceID)
    if (known === undefined || inventory.typeOf(known) === undefined) return true
    return !('reason' in this.#planOn(known, store.onInstance(place), nodeENI, network))
  }

  async #plan(intent: ENIAttachment, nodeENI: NodeENI, network: Network): Promise<EniPlan | GivenUp> {
    const { inventory } = this.#parts
    const { instanceID } = intent.spec
    const known = inventory.instance(instanceID)
    // Its type is described a moment after it.
    const plan = known && inventory.typeOf(known) && this.#planOn(known, this.#siblings(intent), nodeENI, network)
    if (plan !== undefined && !('reason' in plan) && plan.attachmentsLeft >= unseenVolumesMax) return plan
    // What is known may be minutes old: a pod is refused, and the last attachments are given, only by what EC2 says now.
    const instance = await this.#instanceNow(intent)
    if (instance === undefined) {
      const advice = `if it is terminated, delete its Node ${intent.spec.nodeName}; else see the region and account of the attacher`
      return { reason: 'InstanceNotFound', message: `EC2 knows no instance ${instanceID}; ${advice}` }
    }
    return this.#planOn(instance, this.#siblings(intent), nodeENI, network)
  }

  #planOn(
    instance: Instance,
    siblings: readonly ENIAttachment[],
    nodeENI: NodeENI,
    network: Network,
  ): EniPlan | GivenUp {
    const { networks, policy } = this.#parts
    const subnets = network.subnets
      .filter((subnet) => !networks.isExhausted(subnet, addressesOf(nodeENI)))
      .map((subnet) => ({ ...subnet, freeAddresses: networks.freeAddresses(subnet) }))
    return planEni({ nodeENI, instance, type: this.#typeOf(instance), subnets, siblings, policy })
  }

  async #instanceNow(attachment: ENIAttachment): Promise<Instance | undefined> {
    const { inventory } = this.#parts
    const { instanceID } = attachment.spec
    await inventory.look([instanceID], urgencyOf(attachment))
    return inventory.instance(instanceID)
  }

  #siblings({ spec, metadata }: ENIAttachment): ENIAttachment[] {
    return this.#parts.store.onInstance(spec).filter((other) => other.metadata.uid !== metadata.uid)
  }

  #typeOf(instance: Instance): InstanceType {
    const type = this.#parts.inventory.typeOf(instance)
    if (type !== undefined) return type
    throw new Error(`EC2 has not described instance type ${instance.type} of ${instance.id} yet, asking again`)
  }
}
