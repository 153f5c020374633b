// The calls that the VPC CNI's ipamd makes of EC2 for one node, with its own retries. Its way: amazon-vpc-cni-k8s b521883,
// pkg/awsutils/awsutils.go (AllocENI, attachENI, FreeENI, deleteENI, TagENI, DescribeAllENIs, getLeakedENIs).
// Models: which calls, in which order, with which tags, descriptions, retries and pauses, and what is undone when one fails.
// Does not model: the SDK's own ten attempts (each call is sent once), jitter of the pauses, prefixes, custom networking, subnets
// found by tag, IPv6, connection tracking, groups that are kept equal to the primary's.

import type { Filter, NetworkInterface, Tag } from '@aws-sdk/client-ec2'

import type { Ec2 } from '../new-ec2.ts'
import type { Ec2State } from '../state/ec2-state.ts'

import { CallFailed, Ec2Caller } from './ec2-caller.ts'
import { pause, retried } from './pause.ts'
import { primaryOf } from './primary.ts'

const nodeTag = 'node.k8s.amazonaws.com/instance_id'
const createdAtTag = 'node.k8s.amazonaws.com/createdAt'
const clusterTag = 'cluster.k8s.amazonaws.com/name'
const ownerTag = 'eks:eni:owner'
const descriptionPrefix = 'aws-K8S-'

const requestTimeoutMs = 10_000
const detachBackoff = { tries: 12, firstMs: 200, mostMs: 60_000 }
const deleteBackoff = { tries: 12, firstMs: 500, mostMs: 60_000 }
const tagBackoff = { tries: 5, firstMs: 500, mostMs: 60_000 }
const describeTries = 12
/** EC2 takes a while to detach, so the delete waits. */
const afterDetachMs = 2000
/** Younger ones may be on their way to an instance. */
const leakAgeMs = 5 * 60_000
const pageSize = 1000
const notFound = 'InvalidNetworkInterfaceID.NotFound'

export interface CniNode {
  readonly instanceId: string
  /** CLUSTER_NAME of aws-node: with it interfaces carry the cluster's name and the owner tag of EKS. */
  readonly clusterName?: string | undefined
  /** Secondary IPv4 addresses of a new interface. */
  readonly addresses: number
}

export type EniTags = ReadonlyMap<string, string>

export class VpcCniEc2 {
  readonly #state: Ec2State
  readonly #node: CniNode
  readonly #ec2: Ec2Caller

  constructor(ec2: Ec2, node: CniNode) {
    const accessKeyId = `ASIAVPCCNI${node.instanceId.toUpperCase().replaceAll(/[^A-Z0-9]/g, '')}`
    this.#state = ec2.state
    this.#node = node
    this.#ec2 = new Ec2Caller(ec2, { accessKeyId, role: 'aws-node' }, requestTimeoutMs)
  }

  /** Creates and attaches one with DeleteOnTermination; a failure on the way is undone. @throws CallFailed */
  async allocateEni(signal: AbortSignal): Promise<string> {
    const eniId = await this.#create(signal)
    const attachmentId = await orUndo(this.#attach(eniId, signal), () => this.deleteEni(eniId, signal))
    const Attachment = { AttachmentId: attachmentId, DeleteOnTermination: true }
    const modified = this.#ec2.call(signal, (ec2) =>
      ec2.modifyNetworkInterfaceAttribute({ NetworkInterfaceId: eniId, Attachment }),
    )
    await orUndo(modified, () => this.freeEni(eniId, signal))
    return eniId
  }

  /** Detaches and deletes it. False if it gave up. */
  async freeEni(eniId: string, signal: AbortSignal): Promise<boolean> {
    const AttachmentId = await this.#attachmentOf(eniId, signal)
    if (AttachmentId === 'gone') return true
    if (AttachmentId === undefined) return false
    const detached = await retried(this.#state.clock, detachBackoff, signal, () =>
      this.#ec2.succeeds(signal, (ec2) => ec2.detachNetworkInterface({ AttachmentId })),
    )
    if (detached === undefined) return false
    await pause(this.#state.clock, afterDetachMs, signal)
    return this.deleteEni(eniId, signal)
  }

  /** False if it gave up; one that is gone is as good as deleted. */
  async deleteEni(NetworkInterfaceId: string, signal: AbortSignal): Promise<boolean> {
    const deleted = await retried(this.#state.clock, deleteBackoff, signal, () =>
      this.#ec2.succeeds(signal, (ec2) => ec2.deleteNetworkInterface({ NetworkInterfaceId }), notFound),
    )
    return deleted === true
  }

  /** Gives it the tags that make it ipamd's, as far as it lacks them. False if it gave up. */
  async tagEni(eniId: string, current: EniTags, signal: AbortSignal): Promise<boolean> {
    const missing = [...this.#ownTags()].filter(([key, value]) => current.get(key) !== value)
    return missing.length === 0 || this.#tag(eniId, new Map(missing), signal)
  }

  /** Tags of these, without those that EC2 does not know: each of them costs a call. @throws CallFailed */
  async tagsOf(eniIds: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, EniTags>> {
    let left = [...eniIds]
    for (let tries = 1; ; tries++) {
      try {
        const found = await this.#describe(left, signal)
        return new Map(found.map(({ NetworkInterfaceId = '', TagSet = [] }) => [NetworkInterfaceId, tagMap(TagSet)]))
      } catch (error) {
        if (!(error instanceof CallFailed) || tries === describeTries) throw error
        const unknown = error.code === notFound ? eniIdIn(error) : undefined
        if (unknown === undefined) await pause(this.#state.clock, (tries - 1) * 10, signal)
        else left = left.filter((eniId) => eniId !== unknown)
      }
    }
  }

  /** Deletes what any ipamd of this cluster made in this VPC and left behind. @throws CallFailed when it cannot look. */
  async deleteLeaked(signal: AbortSignal): Promise<void> {
    for (const { NetworkInterfaceId = '', Description = '', TagSet = [] } of await this.#available(signal)) {
      if (!Description.startsWith(descriptionPrefix)) continue
      const createdAt = Date.parse(tagMap(TagSet).get(createdAtTag) ?? '')
      if (Number.isNaN(createdAt)) await this.#tag(NetworkInterfaceId, new Map([this.#createdNow()]), signal)
      else if (this.#state.clock.now() - createdAt >= leakAgeMs) await this.deleteEni(NetworkInterfaceId, signal)
    }
  }

  /** Where the primary interface is, with its groups. */
  async #create(signal: AbortSignal): Promise<string> {
    const { instanceId, addresses } = this.#node
    const primary = primaryOf(this.#state, instanceId)
    const tags = new Map([this.#createdNow(), ...this.#ownTags()])
    const { NetworkInterface: made } = await this.#ec2.call(signal, (ec2) =>
      ec2.createNetworkInterface({
        SubnetId: primary?.subnetId,
        Groups: [...(primary?.groupIds ?? [])],
        Description: `${descriptionPrefix}${instanceId}`,
        TagSpecifications: [{ ResourceType: 'network-interface', Tags: tagList(tags) }],
        ...(addresses > 0 && { SecondaryPrivateIpAddressCount: addresses }),
      }),
    )
    return made?.NetworkInterfaceId ?? ''
  }

  /** At the lowest index that is free on card 0 as DescribeInstances has it, whatever the type's limit. */
  async #attach(NetworkInterfaceId: string, signal: AbortSignal): Promise<string> {
    const { instanceId: InstanceId } = this.#node
    const { Reservations } = await this.#ec2.call(signal, (ec2) => ec2.describeInstances({ InstanceIds: [InstanceId] }))
    const attachments = Reservations?.[0]?.Instances?.[0]?.NetworkInterfaces?.map((eni) => eni.Attachment)
    const taken = new Set(attachments?.filter((its) => its?.NetworkCardIndex === 0).map((its) => its?.DeviceIndex))
    let DeviceIndex = 0
    while (taken.has(DeviceIndex)) DeviceIndex++
    const slot = { DeviceIndex, NetworkCardIndex: 0 }
    const { AttachmentId } = await this.#ec2.call(signal, (ec2) =>
      ec2.attachNetworkInterface({ NetworkInterfaceId, InstanceId, ...slot }),
    )
    return AttachmentId ?? ''
  }

  /** Undefined when it has none, and when EC2 does not say. */
  async #attachmentOf(eniId: string, signal: AbortSignal): Promise<string | 'gone' | undefined> {
    try {
      const [eni] = await this.#describe([eniId], signal)
      return eni?.Attachment?.AttachmentId
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error
      return error.code === notFound ? 'gone' : undefined
    }
  }

  async #describe(NetworkInterfaceIds: string[], signal: AbortSignal): Promise<NetworkInterface[]> {
    const answer = await this.#ec2.call(signal, (ec2) => ec2.describeNetworkInterfaces({ NetworkInterfaceIds }))
    return answer.NetworkInterfaces ?? []
  }

  async #available(signal: AbortSignal): Promise<NetworkInterface[]> {
    const { instanceId, clusterName } = this.#node
    const Filters: Filter[] = [
      { Name: 'tag-key', Values: [nodeTag] },
      { Name: 'status', Values: ['available'] },
      { Name: 'vpc-id', Values: [this.#state.instance(instanceId).vpcId] },
      ...(clusterName === undefined ? [] : [{ Name: `tag:${clusterTag}`, Values: [clusterName] }]),
    ]
    const found: NetworkInterface[] = []
    let NextToken: string | undefined
    do {
      const page = { MaxResults: pageSize, ...(NextToken !== undefined && { NextToken }) }
      const answer = await this.#ec2.call(signal, (ec2) => ec2.describeNetworkInterfaces({ Filters, ...page }))
      found.push(...(answer.NetworkInterfaces ?? []))
      NextToken = answer.NextToken
    } while (NextToken !== undefined)
    return found
  }

  async #tag(eniId: string, tags: EniTags, signal: AbortSignal): Promise<boolean> {
    const tagged = await retried(this.#state.clock, tagBackoff, signal, () =>
      this.#ec2.succeeds(signal, (ec2) => ec2.createTags({ Resources: [eniId], Tags: tagList(tags) })),
    )
    return tagged === true
  }

  #ownTags(): EniTags {
    const { instanceId, clusterName } = this.#node
    if (clusterName === undefined) return new Map([[nodeTag, instanceId]])
    return new Map([
      [nodeTag, instanceId],
      [clusterTag, clusterName],
      [ownerTag, 'amazon-vpc-cni'],
    ])
  }

  #createdNow(): [string, string] {
    return [createdAtTag, new Date(this.#state.clock.now()).toISOString()]
  }
}

async function orUndo<Result>(work: Promise<Result>, undo: () => Promise<unknown>): Promise<Result> {
  try {
    return await work
  } catch (error) {
    if (error instanceof CallFailed) await undo()
    throw error
  }
}

function tagMap(tags: readonly Tag[]): EniTags {
  return new Map(tags.map(({ Key = '', Value = '' }) => [Key, Value]))
}

function tagList(tags: EniTags): Tag[] {
  return [...tags].map(([Key, Value]) => ({ Key, Value }))
}

function eniIdIn(error: CallFailed): string | undefined {
  return /eni-[0-9a-z]+/.exec((error.cause as Error).message)?.[0]
}
