// One ENI as EC2 keeps it, with its attachment while it has one.

import type { KnownFrom } from './consistency.ts'

export interface Attachment {
  readonly attachmentId: string
  readonly instanceId: string
  readonly deviceIndex: number
  readonly networkCard: number
  readonly attachTime: number
  readonly enaExpress: boolean
  /** Stays `attaching`, with no device: on order, or because the attach went beyond the budget (EBS CSI issue 1163). */
  stuck: boolean
  status: 'attaching' | 'attached' | 'detaching'
  deleteOnTermination: boolean
}

export interface NetworkInterface {
  /** Order of creation. */
  readonly serial: number
  readonly eniId: string
  readonly mac: string
  readonly subnetId: string
  readonly vpcId: string
  readonly availabilityZone: string
  readonly interfaceType: string
  /** The first is the primary address. */
  readonly privateIpAddresses: readonly string[]
  readonly ipv6Addresses: readonly string[]
  readonly knownFrom: KnownFrom
  readonly tags: Map<string, string>
  groupIds: readonly string[]
  description: string
  sourceDestCheck: boolean
  status: 'pending' | 'available' | 'attaching' | 'in-use' | 'detaching'
  /** Absent once the interface is detached: EC2 drops it rather than showing `detached` (VPC CNI issue 914). */
  attachment?: Attachment
}

/** What EC2 answers about an interface: it does not change when the interface does. */
export function snapshot(eni: NetworkInterface): NetworkInterface {
  return {
    ...eni,
    tags: new Map(eni.tags),
    ...(eni.attachment === undefined ? {} : { attachment: { ...eni.attachment } }),
  }
}
