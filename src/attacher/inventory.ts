// What EC2 says of the instances behind our nodes: type limits, interfaces, volumes. Refreshed by one describe for all of them.
import type { NodeCapacity } from '../api/node-capacity.ts'
import type { Clock } from '../process/clock.ts'
import { Absences } from './absences.ts'
import type { Ec2ByUrgency, Instance, InstanceType } from './ec2.ts'
import type { Urgency } from './ec2-limiter.ts'
import { takenSlots } from './eni-plan.ts'
import { cardsBesideCni, roomOn, type SlotPolicy } from './slot-map.ts'

/** What EC2 last said of an instance. */
export interface InstanceLook {
  /** undefined: EC2 does not show it. */
  readonly instance: Instance | undefined
  /** Its state; `unknown` while EC2 does not show it, and `terminated` when it has not shown it for a while. */
  readonly state: string
  /** When EC2 was asked, and when the state was first seen. */
  readonly atMs: number
  readonly sinceMs: number
}

export interface InventoryParts {
  readonly ec2: Ec2ByUrgency
  readonly policy: SlotPolicy
  readonly clock: Clock
}

export class Inventory {
  readonly #parts: InventoryParts
  readonly #absences: Absences
  readonly #looks = new Map<string, InstanceLook>()
  readonly #types = new Map<string, InstanceType>()
  readonly #listeners: (() => void)[] = []

  constructor(parts: InventoryParts) {
    this.#parts = parts
    this.#absences = new Absences(parts.clock)
  }

  /** Calls back when an instance has come or gone, or what it is in (VPC) or of (type) is not what it was. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Describes these instances and forgets all others. @throws Ec2Error */
  async refresh(instanceIDs: readonly string[]): Promise<void> {
    await this.look(instanceIDs, 'pods')
    const kept = new Set(instanceIDs)
    const others = [...this.#looks.keys()].filter((id) => !kept.has(id))
    for (const id of others) this.#looks.delete(id)
    if (others.length > 0) this.#tell()
  }

  /** Describes these instances anew. @throws Ec2Error */
  async look(instanceIDs: readonly string[], urgency: Urgency): Promise<void> {
    const ec2 = this.#parts.ec2(urgency)
    const atMs = this.#parts.clock.monotonic()
    const described = instanceIDs.length === 0 ? [] : await ec2.describeInstances(instanceIDs)
    const byID = new Map(described.map((instance) => [instance.id, instance]))
    for (const id of instanceIDs) this.#keep(id, byID.get(id), atMs)
    const unknown = new Set(described.map(({ type }) => type).filter((type) => !this.#types.has(type)))
    if (unknown.size === 0) return
    for (const type of await ec2.describeInstanceTypes([...unknown])) this.#types.set(type.name, type)
    this.#tell()
  }

  lastLook(instanceID: string): InstanceLook | undefined {
    return this.#looks.get(instanceID)
  }

  instance(instanceID: string): Instance | undefined {
    return this.#looks.get(instanceID)?.instance
  }

  /** Whether EC2 was asked about it and its type; what it said may be that there is no such instance. */
  isLookedUp(instanceID: string): boolean {
    const look = this.#looks.get(instanceID)
    return look !== undefined && (look.instance === undefined || this.#types.has(look.instance.type))
  }

  typeOf(instance: Instance): InstanceType | undefined {
    return this.#types.get(instance.type)
  }

  /** Of all our instances. */
  vpcIDs(): string[] {
    return vpcIDsOf([...this.#looks.values()].flatMap(({ instance }) => instance ?? []))
  }

  /**
   * For the node annotation. `ourEnis` are the ENIs that ENIAttachments name; all others on the instance are foreign, and so
   * is an index 0 that no ENI of ours may have, and what is kept for others.
   */
  capacityOf(instanceID: string, ourEnis: ReadonlySet<string>): NodeCapacity | undefined {
    const instance = this.instance(instanceID)
    const type = instance && this.#types.get(instance.type)
    if (instance === undefined || type === undefined) return undefined
    const foreign = instance.interfaces.filter(({ eniID }) => !ourEnis.has(eniID))
    const usable = cardsBesideCni(type.cards, foreign, this.#parts.policy)
    const taken = takenSlots([], foreign)
    const volumes = Math.max(instance.volumes, this.#parts.policy.volumes)
    return {
      instanceID,
      cards: type.cards.map((card, i) => ({
        index: card.index,
        limit: card.maxInterfaces,
        foreign: card.maxInterfaces - roomOn(usable[i] ?? card, taken),
      })),
      ...(type.sharedAttachments !== undefined && {
        shared: Math.max(0, type.sharedAttachments - volumes - taken.length),
      }),
    }
  }

  #keep(id: string, instance: Instance | undefined, atMs: number): void {
    const isGone = this.#absences.isGone(id, instance)
    const state = instance?.state ?? (isGone ? 'terminated' : 'unknown')
    const before = this.#looks.get(id)
    // The slower of two answers.
    if (before !== undefined && before.atMs > atMs) return
    this.#looks.set(id, { instance, state, atMs, sinceMs: before?.state === state ? before.sinceMs : atMs })
    const { vpcID, type } = before?.instance ?? {}
    if (before === undefined || instance?.vpcID !== vpcID || instance?.type !== type) this.#tell()
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** Of one that is terminated EC2 tells no VPC. */
export function vpcIDsOf(instances: readonly Instance[]): string[] {
  return [...new Set(instances.map(({ vpcID }) => vpcID))].filter((id) => id !== '')
}
