// What a behaviour of the contract works with: an account, real or simulated, in which it makes interfaces that are all found
// again by their tag, and deleted at the end.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import type { CreateNetworkInterfaceCommandInput, EC2, Instance, NetworkInterface, Tag } from '@aws-sdk/client-ec2'

const tagKey = 'jit-eni-contract'
const unknownEni = 'InvalidNetworkInterfaceID.NotFound'
/** "A couple of seconds up to a few minutes" (EC2 developer guide, "Eventual consistency"). */
const patienceMs = 180_000

export interface Slot {
  readonly InstanceId: string | undefined
  readonly DeviceIndex: number
  readonly NetworkCardIndex: number
}

export class ContractAccount {
  readonly ec2: EC2
  readonly subnetId: string
  readonly instanceId: string | undefined
  /** Different in every run, also as the beginning of client tokens. */
  readonly run = randomUUID()
  readonly #pollMs: number

  constructor(ec2: EC2, subnetId: string, instanceId: string | undefined, pollMs: number) {
    this.ec2 = ec2
    this.subnetId = subnetId
    this.instanceId = instanceId
    this.#pollMs = pollMs
  }

  get mark(): { Key: string; Value: string } {
    return { Key: tagKey, Value: this.run }
  }

  tagged(...more: Tag[]): Pick<CreateNetworkInterfaceCommandInput, 'TagSpecifications'> {
    return { TagSpecifications: [{ ResourceType: 'network-interface', Tags: [this.mark, ...more] }] }
  }

  async create(more: Partial<CreateNetworkInterfaceCommandInput> = {}): Promise<NetworkInterface & { id: string }> {
    const { NetworkInterface: eni } = await this.ec2.createNetworkInterface({
      SubnetId: this.subnetId,
      ...this.tagged(),
      ...more,
    })
    return { ...eni, id: eni?.NetworkInterfaceId ?? assert.fail('no id') }
  }

  /** All that this run made and that EC2 shows now. */
  async made(): Promise<NetworkInterface[]> {
    const Filters = [{ Name: `tag:${tagKey}`, Values: [this.run] }]
    return (await this.ec2.describeNetworkInterfaces({ Filters })).NetworkInterfaces ?? []
  }

  /** Polls until EC2 shows the interface as told. */
  async shows(
    eniId: string,
    as: (eni: NetworkInterface | undefined) => boolean,
  ): Promise<NetworkInterface | undefined> {
    const Filters = [{ Name: 'network-interface-id', Values: [eniId] }]
    return this.eventually(async () => {
      const { NetworkInterfaces: [eni] = [] } = await this.ec2.describeNetworkInterfaces({ Filters })
      assert.ok(as(eni), `${eniId} is ${JSON.stringify(eni)}`)
      return eni
    })
  }

  async instance(): Promise<Instance> {
    const { Reservations = [] } = await this.ec2.describeInstances({ InstanceIds: [this.instanceId ?? ''] })
    return Reservations[0]?.Instances?.[0] ?? assert.fail('no instance')
  }

  /** On card 0 of the instance; the lowest free index. */
  async freeSlot(): Promise<Slot> {
    const { InstanceId, NetworkInterfaces = [] } = await this.instance()
    const taken = NetworkInterfaces.map(({ Attachment }) => Attachment?.DeviceIndex)
    let DeviceIndex = 1
    while (taken.includes(DeviceIndex)) DeviceIndex++
    return { InstanceId, DeviceIndex, NetworkCardIndex: 0 }
  }

  /** As soon as EC2 knows the interface, whatever state it is in. */
  async attach(NetworkInterfaceId: string): Promise<Slot & { AttachmentId: string }> {
    const slot = await this.freeSlot()
    const { AttachmentId = '' } = await this.onceKnown(() =>
      this.ec2.attachNetworkInterface({ NetworkInterfaceId, ...slot }),
    )
    return { AttachmentId, ...slot }
  }

  /** An interface that is available, and that calls which change it know, too. */
  async createAvailable(more: Partial<CreateNetworkInterfaceCommandInput> = {}): Promise<string> {
    const { id } = await this.create(more)
    await this.shows(id, (eni) => eni?.Status === 'available')
    const change = { NetworkInterfaceId: id, SourceDestCheck: { Value: true } }
    await this.onceKnown(() => this.ec2.modifyNetworkInterfaceAttribute(change))
    return id
  }

  /** What describes a new interface may know it before what changes it. */
  onceKnown<T>(call: () => Promise<T>): Promise<T> {
    return this.eventually(call, ({ name }) => name === unknownEni)
  }

  async detach(AttachmentId: string, eniId: string): Promise<void> {
    await this.ec2.detachNetworkInterface({ AttachmentId })
    await this.shows(eniId, (eni) => eni?.Status === 'available' && eni.Attachment === undefined)
  }

  /**
   * Done when EC2 shows nothing of this run three times in a row: what was made last may not be shown yet. One that cannot be
   * deleted keeps no other. @throws Error that says what is left.
   */
  async cleanUp(): Promise<void> {
    const end = Date.now() + patienceMs
    for (let emptyLooks = 0; emptyLooks < 3; await sleep(this.#pollMs)) {
      const left = await this.eventually(() => this.made())
      emptyLooks = left.length === 0 ? emptyLooks + 1 : 0
      const problems = (await Promise.all(left.map((eni) => this.#remove(eni)))).filter((one) => one !== undefined)
      if (left.length > 0 && Date.now() > end) {
        const ids = left.map((eni) => eni.NetworkInterfaceId).join(', ')
        throw new Error(`delete by hand: ${ids} (tag ${tagKey}=${this.run}): ${problems.map(String).join('; ')}`)
      }
    }
  }

  /** One step of it; the next look shows what is left to do. */
  async #remove({ NetworkInterfaceId, Attachment, Status }: NetworkInterface): Promise<unknown> {
    try {
      if (Attachment === undefined) await this.ec2.deleteNetworkInterface({ NetworkInterfaceId })
      else if (Status !== 'detaching' && Attachment.Status !== 'detaching')
        await this.ec2.detachNetworkInterface({ AttachmentId: Attachment.AttachmentId })
      return undefined
    } catch (error) {
      return error
    }
  }

  /** Tries again until it succeeds or fails otherwise than told; at the end of the patience it fails as the last try did. */
  async eventually<T>(attempt: () => Promise<T>, mayPass: (error: Error) => boolean = () => true): Promise<T> {
    const end = Date.now() + patienceMs
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        if (Date.now() > end || !(error instanceof Error && mayPass(error))) throw error
        await sleep(this.#pollMs)
      }
    }
  }
}

/** The call must be refused with this code, and with these words. */
export async function isRefused(call: Promise<unknown>, code: string, words: RegExp = /./): Promise<void> {
  await assert.rejects(call, (error: Error) => {
    assert.equal(error.name, code, error.message)
    assert.match(error.message, words)
    return true
  })
}

/** Before anything is made: why the contract cannot be run there, if so. */
export async function missingFrom(
  ec2: EC2,
  subnetId: string,
  instanceId: string | undefined,
): Promise<string | undefined> {
  if (subnetId === '') return 'CONTRACT_SUBNET_ID is not set'
  try {
    const { Subnets = [] } = await ec2.describeSubnets({ SubnetIds: [subnetId] })
    if (instanceId === undefined) return undefined
    const { Reservations = [] } = await ec2.describeInstances({ InstanceIds: [instanceId] })
    const { State, Placement, VpcId } = Reservations[0]?.Instances?.[0] ?? {}
    const isBesideSubnet = Placement?.AvailabilityZone === Subnets[0]?.AvailabilityZone && VpcId === Subnets[0]?.VpcId
    if (State?.Name !== 'running' || !isBesideSubnet)
      return `CONTRACT_INSTANCE_ID: ${instanceId} does not run in the zone and VPC of ${subnetId}`
    return undefined
  } catch (error) {
    return `EC2 does not answer: ${String(error)}`
  }
}
