// EC2 as the attacher sees it: the calls that it makes, in its own words. ec2-client.ts makes them with the AWS SDK.
import type { Urgency } from './ec2-limiter.ts'

/** EC2 may not know a new id for so long (EC2 API eventual consistency). */
export const consistencyMs = 60_000
/** Longer than any attach or detach that still comes to an end: the slowest seen took over 100 s (cilium/cilium#47570). */
export const settleDeadlineMs = 5 * 60_000
/** EC2 takes at most so many values in a filter. */
export const filterValuesMax = 200

export interface EniAttachmentFacts {
  readonly id: string
  readonly instanceID: string | undefined
  /** attaching, attached, detaching or detached. */
  readonly status: string
  readonly deviceIndex: number
  readonly networkCard: number
  readonly deleteOnTermination: boolean
}

export interface Eni {
  readonly id: string
  /** pending, available, in-use, detaching and others: an open set. */
  readonly status: string
  readonly mac: string
  readonly subnetID: string
  readonly addresses: readonly string[]
  readonly sourceDestCheck: boolean
  readonly description: string
  readonly securityGroupIDs: readonly string[]
  readonly tags: ReadonlyMap<string, string>
  readonly attachment: EniAttachmentFacts | undefined
}

export interface CreateEniRequest {
  /** At most 64 ASCII characters; the same token and parameters give the same ENI (EC2 API idempotency). */
  readonly clientToken: string
  readonly subnetID: string
  readonly securityGroupIDs: readonly string[]
  readonly description: string
  readonly tags: ReadonlyMap<string, string>
  readonly secondaryPrivateIPv4AddressCount: number
  readonly ipv6AddressCount: number
}

export interface InstanceInterface {
  readonly eniID: string
  readonly deviceIndex: number
  readonly networkCard: number
}

export interface Instance {
  readonly id: string
  readonly type: string
  /** pending, running, shutting-down, terminated, stopping or stopped. */
  readonly state: string
  readonly vpcID: string
  readonly zone: string
  readonly interfaces: readonly InstanceInterface[]
  /** EBS volumes attached. */
  readonly volumes: number
}

export interface InstanceType {
  readonly name: string
  readonly cards: readonly { readonly index: number; readonly maxInterfaces: number }[]
  /** The one budget of ENIs (the primary one too) and EBS volumes, on types that share it (EbsInfo.AttachmentLimitType). */
  readonly sharedAttachments: number | undefined
}

export interface Subnet {
  readonly id: string
  readonly zone: string
  readonly vpcID: string
  readonly cidr: string
  readonly freeAddresses: number
}

/** Every method throws Ec2Error, or the reason for which its caller may not call EC2 any more, and nothing else. */
export interface Ec2 {
  createEni(request: CreateEniRequest): Promise<Eni>
  /** Answers the attachment id. EC2 knows no client token here: describe before trying again. */
  attachEni(eniID: string, instanceID: string, deviceIndex: number, networkCard: number): Promise<string>
  /** `force` does not wait for the guest: EC2 advises it for instances that have failed, and never else. */
  detachEni(attachmentID: string, force: boolean): Promise<void>
  deleteEni(eniID: string): Promise<void>
  /** Belongs to the attachment and is lost with it; false by default for an ENI that was made alone. */
  setDeleteOnTermination(eniID: string, attachmentID: string, value: boolean): Promise<void>
  setSourceDestCheck(eniID: string, value: boolean): Promise<void>
  setDescription(eniID: string, value: string): Promise<void>
  setSecurityGroups(eniID: string, ids: readonly string[]): Promise<void>
  /** Tags of these keys get these values; all others stay. */
  createTags(eniID: string, tags: ReadonlyMap<string, string>): Promise<void>
  /** Unknown ids are left out. */
  describeEnis(ids: readonly string[]): Promise<Eni[]>
  /** With any of these values, `filterValuesMax` at most. */
  describeEnisByTag(key: string, values: readonly string[]): Promise<Eni[]>
  /** Unknown ids are left out. */
  describeInstances(ids: readonly string[]): Promise<Instance[]>
  describeInstanceTypes(names: readonly string[]): Promise<InstanceType[]>
  describeSubnets(filter: SubnetFilter): Promise<Subnet[]>
  describeSecurityGroups(filter: SecurityGroupFilter): Promise<SecurityGroup[]>
}

export type SubnetFilter = { readonly ids: readonly string[] } | { readonly nameTag: string; readonly vpcID: string }
export type SecurityGroupFilter =
  | { readonly ids: readonly string[] }
  | { readonly name: string; readonly vpcID: string }
  | { readonly nameTag: string; readonly vpcID: string }

export interface SecurityGroup {
  readonly id: string
  readonly vpcID: string
}

/** EC2 for calls of this urgency, until the signal aborts. */
export type Ec2Access = (urgency: Urgency, signal: AbortSignal) => Ec2
export type Ec2ByUrgency = (urgency: Urgency) => Ec2
