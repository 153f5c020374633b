// What EC2 says of the instances behind our nodes: type limits, interfaces, volumes. Refreshed by one describe for all of them.
import type { NodeCapacity } from '../api/node-capacity.ts'
import type { Ec2, Instance, InstanceType } from './ec2.ts'
import { cardsBesideCni, roomOn, type SlotPolicy } from './slot-map.ts'

export class Inventory {
  readonly #ec2: Ec2
  readonly #policy: SlotPolicy
  readonly #instances = new Map<string, Instance>()
  /** Asked for, and not known to EC2. */
  readonly #absent = new Set<string>()
  readonly #types = new Map<string, InstanceType>()

  constructor(ec2: Ec2, policy: SlotPolicy) {
    this.#ec2 = ec2
    this.#policy = policy
  }

  /** Describes these instances and forgets all others. @throws Ec2Error */
  async refresh(instanceIDs: readonly string[]): Promise<void> {
    const described = instanceIDs.length === 0 ? [] : await this.#ec2.describeInstances(instanceIDs)
    this.#instances.clear()
    this.#absent.clear()
    await this.#keep(instanceIDs, described)
  }

  /** Describes one instance anew, after EC2 contradicted what we knew of it. @throws Ec2Error */
  async refreshOne(instanceID: string): Promise<Instance | undefined> {
    const described = await this.#ec2.describeInstances([instanceID])
    this.#instances.delete(instanceID)
    await this.#keep([instanceID], described)
    return this.#instances.get(instanceID)
  }

  instance(instanceID: string): Instance | undefined {
    return this.#instances.get(instanceID)
  }

  /** Whether EC2 was asked about it and its type; what it said may be that there is no such instance. */
  isLookedUp(instanceID: string): boolean {
    const instance = this.#instances.get(instanceID)
    return instance === undefined ? this.#absent.has(instanceID) : this.#types.has(instance.type)
  }

  typeOf(instance: Instance): InstanceType | undefined {
    return this.#types.get(instance.type)
  }

  /** All VPCs of our instances; one, unless something is set up wrongly. Of one that is terminated EC2 tells no VPC. */
  vpcIDs(): string[] {
    return [...new Set([...this.#instances.values()].map(({ vpcID }) => vpcID))].filter((id) => id !== '')
  }

  /**
   * For the node annotation. `ourEnis` are the ENIs that ENIAttachments name; all others on the instance are foreign, and so
   * is an index 0 that no ENI of ours may have, and what is kept for others.
   */
  capacityOf(instanceID: string, ourEnis: ReadonlySet<string>): NodeCapacity | undefined {
    const instance = this.#instances.get(instanceID)
    const type = instance && this.#types.get(instance.type)
    if (instance === undefined || type === undefined) return undefined
    const foreign = instance.interfaces.filter(({ eniID }) => !ourEnis.has(eniID))
    const usable = cardsBesideCni(type.cards, foreign, this.#policy)
    const volumes = Math.max(instance.volumes, this.#policy.volumes)
    return {
      instanceID,
      cards: type.cards.map((card, i) => ({
        index: card.index,
        limit: card.maxInterfaces,
        foreign: card.maxInterfaces - roomOn(usable[i] ?? card, foreign),
      })),
      ...(type.sharedAttachments !== undefined && {
        shared: Math.max(0, type.sharedAttachments - volumes - foreign.length),
      }),
    }
  }

  async #keep(asked: readonly string[], described: readonly Instance[]): Promise<void> {
    for (const instance of described) this.#instances.set(instance.id, instance)
    for (const id of asked) {
      if (this.#instances.has(id)) this.#absent.delete(id)
      else this.#absent.add(id)
    }
    const unknown = new Set(described.map(({ type }) => type).filter((type) => !this.#types.has(type)))
    if (unknown.size === 0) return
    for (const type of await this.#ec2.describeInstanceTypes([...unknown])) this.#types.set(type.name, type)
  }
}
