// What exists in the simulated account before the first call: plain data, written as literals by tests and the demo.
// Zone and VPC of an instance are those of its subnet, as in EC2.

export type Tags = Readonly<Record<string, string>>

export interface WorldVpc {
  readonly vpcId: string
  readonly cidrBlock: string
}

export interface WorldSubnet {
  readonly subnetId: string
  readonly vpcId: string
  readonly availabilityZone: string
  readonly cidrBlock: string
  /** A /64; without it the subnet hands out no IPv6 addresses. */
  readonly ipv6CidrBlock?: string
  readonly tags?: Tags
}

export interface WorldSecurityGroup {
  readonly groupId: string
  readonly groupName: string
  readonly vpcId: string
  readonly tags?: Tags
}

/** An interface that is on the instance from the start, other than its primary: the VPC CNI's, for example. */
export interface WorldInterface {
  readonly deviceIndex: number
  readonly networkCard?: number
  readonly subnetId?: string
  readonly groupIds?: readonly string[]
  readonly eniId?: string
  readonly mac?: string
  readonly description?: string
  readonly secondaryPrivateIpAddressCount?: number
  readonly deleteOnTermination?: boolean
  readonly tags?: Tags
}

export interface WorldInstance {
  readonly instanceId: string
  readonly instanceType: string
  readonly subnetId: string
  readonly groupIds?: readonly string[]
  readonly privateDnsName?: string
  readonly tags?: Tags
  /** Running unless told. */
  readonly state?: 'pending' | 'running' | 'stopped'
  /** EBS volumes attached, the root volume included: they share the attachment budget of many types. */
  readonly ebsVolumes?: number
  readonly primary?: { readonly eniId?: string; readonly mac?: string; readonly privateIpAddress?: string }
  readonly foreignInterfaces?: readonly WorldInterface[]
}

export interface World {
  readonly region: string
  readonly accountId?: string
  readonly vpcs: readonly WorldVpc[]
  readonly subnets: readonly WorldSubnet[]
  readonly securityGroups: readonly WorldSecurityGroup[]
  readonly instances: readonly WorldInstance[]
  /** Quota of network interfaces in the region (L-DF5E4CA3); 5,000 unless raised. */
  readonly maximumNetworkInterfaces?: number
  /** Quota of security groups for an interface (L-2AFB9258); 5 unless raised, at most 16. */
  readonly maximumGroupsPerInterface?: number
}
