// The simulated account: its tables, and looking things up in them as EC2 does (an unknown id is a refusal).
// No HTTP and no real time here; the actions are functions over this object in the files beside it.

import type { World } from '../world.ts'

import { ClientTokens } from './client-tokens.ts'
import type { Clock } from './clock.ts'
import { type Consistency, Visibility } from './consistency.ts'
import { type Delays, defaultDelays } from './delays.ts'
import { DeviceBay } from './device-bay.ts'
import { type Duration, type Random, drawn, seededRandom } from './duration.ts'
import { type Hypervisor, noHypervisor } from './hypervisor.ts'
import type { Instance } from './instance.ts'
import type { InterfaceView } from './interface-view.ts'
import { Listeners } from './listeners.ts'
import type { Attachment, NetworkInterface } from './network-interface.ts'
import { refusals } from './refusals.ts'
import { IdMint, wellFormed } from './resource-id.ts'
import type { SecurityGroup } from './security-group.ts'
import { StuckTransitions } from './stuck-transitions.ts'
import { Subnet } from './subnet.ts'

const defaultAccountId = '123456789012'
const defaultMaximumNetworkInterfaces = 5000
const defaultMaximumGroupsPerInterface = 5
export const defaultGroupName = 'default'

export interface Ec2StateOptions {
  readonly hypervisor?: Hypervisor | undefined
  readonly delays?: Partial<Delays> | undefined
  readonly consistency?: Consistency | undefined
  /** Decides what is drawn of ranges. */
  readonly seed?: number | undefined
  /** In place of a generator of its own. */
  readonly random?: Random | undefined
}

export class Ec2State {
  readonly region: string
  readonly accountId: string
  readonly maximumNetworkInterfaces: number
  readonly maximumGroupsPerInterface: number
  readonly clock: Clock
  readonly delays: Delays
  readonly bay: DeviceBay
  readonly mint = new IdMint()
  readonly tokens = new ClientTokens<NetworkInterface>()
  readonly stuck = new StuckTransitions()
  readonly visibility: Visibility
  readonly #random: Random
  readonly #subnets = new Map<string, Subnet>()
  readonly #groups = new Map<string, SecurityGroup>()
  readonly #instances = new Map<string, Instance>()
  readonly #enis = new Map<string, NetworkInterface>()
  readonly #attached = new Map<string, Set<NetworkInterface>>()
  readonly #byAttachment = new Map<string, NetworkInterface>()
  readonly #watchers = new Listeners<[]>()
  #serials = 0

  /** Takes VPCs, subnets and groups from the world; instances come by launchInstance (instance-lifecycle.ts). */
  constructor(world: World, clock: Clock, options: Ec2StateOptions = {}) {
    this.region = world.region
    this.accountId = world.accountId ?? defaultAccountId
    this.maximumNetworkInterfaces = world.maximumNetworkInterfaces ?? defaultMaximumNetworkInterfaces
    this.maximumGroupsPerInterface = world.maximumGroupsPerInterface ?? defaultMaximumGroupsPerInterface
    if (this.maximumGroupsPerInterface > 16) throw new RangeError('the quota of groups an interface is 16 at most')
    this.clock = clock
    this.bay = new DeviceBay(options.hypervisor ?? noHypervisor)
    this.delays = { ...defaultDelays, ...options.delays }
    this.#random = options.random ?? seededRandom(options.seed ?? 1)
    this.visibility = new Visibility(clock, this.#random)
    this.visibility.set(options.consistency, [])
    for (const subnet of world.subnets) {
      if (!world.vpcs.some((vpc) => vpc.vpcId === subnet.vpcId))
        throw new Error(`${subnet.subnetId} names an unknown VPC`)
      this.#subnets.set(wellFormed('subnet', subnet.subnetId), new Subnet(this.nextSerial(), subnet))
    }
    for (const group of world.securityGroups) this.#addGroup(group.groupId, group.groupName, group.vpcId, group.tags)
    for (const { vpcId } of world.vpcs) {
      if (this.#defaultGroup(vpcId) === undefined) this.#addGroup(this.mint.id('sg'), defaultGroupName, vpcId)
    }
  }

  nextSerial(): number {
    return ++this.#serials
  }

  subnets(): Subnet[] {
    return [...this.#subnets.values()]
  }

  groups(): SecurityGroup[] {
    return [...this.#groups.values()]
  }

  instances(): Instance[] {
    return [...this.#instances.values()]
  }

  /** In order of creation, without the deleted. */
  enis(): NetworkInterface[] {
    return [...this.#enis.values()]
  }

  get eniCount(): number {
    return this.#enis.size
  }

  /** The interfaces as a Describe call sees them that comes now. */
  view(): InterfaceView {
    return this.visibility.view(this.enis())
  }

  /** Includes those that are attaching and detaching. */
  enisOn(instanceId: string): NetworkInterface[] {
    return [...(this.#attached.get(instanceId) ?? [])]
  }

  findEni(id: string): NetworkInterface | undefined {
    return this.#enis.get(id)
  }

  subnet(id: string): Subnet {
    const found = this.#subnets.get(wellFormed('subnet', id))
    if (found === undefined) throw refusals.subnetNotFound(id)
    return found
  }

  group(id: string): SecurityGroup {
    const found = this.#groups.get(wellFormed('sg', id))
    if (found === undefined) throw refusals.groupNotFound(id)
    return found
  }

  /** Undefined for a group that is deleted, which an answer that lags may still show. */
  groupName(id: string): string | undefined {
    return this.#groups.get(id)?.groupName
  }

  /** The groups of a new interface: the given ones, all of the VPC, or else the VPC's default group. */
  groupsFor(vpcId: string, ids: readonly string[]): string[] {
    if (ids.length === 0) return [this.#defaultGroup(vpcId)?.groupId ?? '']
    for (const id of ids) if (this.group(id).vpcId !== vpcId) throw refusals.groupInOtherVpc()
    if (ids.length > this.maximumGroupsPerInterface) throw refusals.tooManyGroups()
    return [...ids]
  }

  instance(id: string): Instance {
    const found = this.#instances.get(wellFormed('i', id))
    if (found === undefined) throw refusals.instanceNotFound(id)
    return found
  }

  eni(id: string): NetworkInterface {
    const found = this.#enis.get(wellFormed('eni', id))
    if (found === undefined) throw refusals.eniNotFound(id)
    return found
  }

  /** As `eni`, for a call that changes it: the id may be too new. */
  knownEni(id: string): NetworkInterface {
    const eni = this.eni(id)
    if (!this.visibility.knows(eni, 'other')) throw refusals.eniNotFound(id)
    return eni
  }

  attachment(id: string): { eni: NetworkInterface; attachment: Attachment } {
    const eni = this.#byAttachment.get(wellFormed('eni-attach', id))
    if (eni?.attachment === undefined) throw refusals.attachmentNotFound(id)
    return { eni, attachment: eni.attachment }
  }

  addInstance(instance: Instance): void {
    if (this.#instances.has(instance.instanceId)) throw new Error(`${instance.instanceId} exists already`)
    this.#instances.set(instance.instanceId, instance)
  }

  forgetInstance(instanceId: string): void {
    this.#instances.delete(instanceId)
    this.changed()
  }

  removeGroup(group: SecurityGroup): void {
    this.#groups.delete(group.groupId)
  }

  removeSubnet(subnet: Subnet): void {
    this.#subnets.delete(subnet.subnetId)
  }

  addEni(eni: NetworkInterface): void {
    if (this.#enis.has(eni.eniId)) throw new Error(`${eni.eniId} exists already`)
    this.#enis.set(eni.eniId, eni)
    this.touched(eni)
  }

  removeEni(eni: NetworkInterface): void {
    this.#enis.delete(eni.eniId)
    this.subnet(eni.subnetId).addresses.release(eni.privateIpAddresses)
    this.visibility.recordDeletion(eni.eniId)
    this.changed()
  }

  link(eni: NetworkInterface, attachment: Attachment): void {
    eni.attachment = attachment
    eni.status = 'attaching'
    this.#byAttachment.set(attachment.attachmentId, eni)
    const onInstance = this.#attached.get(attachment.instanceId) ?? new Set()
    this.#attached.set(attachment.instanceId, onInstance.add(eni))
    this.touched(eni)
  }

  unlink(eni: NetworkInterface): void {
    if (eni.attachment === undefined) return
    this.#byAttachment.delete(eni.attachment.attachmentId)
    this.#attached.get(eni.attachment.instanceId)?.delete(eni)
    delete eni.attachment
    eni.status = 'available'
    this.touched(eni)
  }

  /** Runs `then` after the delay; with none, at once. */
  later(delay: Duration, then: () => void): void {
    const ms = drawn(delay, this.#random)
    if (ms <= 0) return then()
    this.clock.after(ms, then)
  }

  /** Calls the listener after every change of an interface or instance, until the returned function is called. */
  watch(listener: () => void): () => void {
    return this.#watchers.on(listener)
  }

  changed(): void {
    this.#watchers.tell()
  }

  /** After every change of an interface. */
  touched(eni: NetworkInterface): void {
    this.visibility.record(eni)
    this.changed()
  }

  #defaultGroup(vpcId: string): SecurityGroup | undefined {
    return this.groups().find((group) => group.vpcId === vpcId && group.groupName === defaultGroupName)
  }

  #addGroup(groupId: string, groupName: string, vpcId: string, tags: Readonly<Record<string, string>> = {}): void {
    const serial = this.nextSerial()
    this.#groups.set(wellFormed('sg', groupId), {
      serial,
      groupId,
      groupName,
      vpcId,
      tags: new Map(Object.entries(tags)),
    })
  }
}
