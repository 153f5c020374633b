// A subnet of the simulated account, with its addresses.

import type { WorldSubnet } from '../world.ts'

import { SubnetAddresses } from './subnet-addresses.ts'

export class Subnet {
  readonly serial: number
  readonly subnetId: string
  readonly vpcId: string
  readonly availabilityZone: string
  readonly cidrBlock: string
  readonly ipv6CidrBlock: string | undefined
  readonly addresses: SubnetAddresses
  readonly tags: Map<string, string>
  #ipv6Given = 0

  constructor(serial: number, world: WorldSubnet) {
    this.serial = serial
    this.subnetId = world.subnetId
    this.vpcId = world.vpcId
    this.availabilityZone = world.availabilityZone
    this.cidrBlock = world.cidrBlock
    this.ipv6CidrBlock = world.ipv6CidrBlock
    this.addresses = new SubnetAddresses(world.cidrBlock)
    this.tags = new Map(Object.entries(world.tags ?? {}))
  }

  /** IPv6 addresses never run out, so they are numbered and not given back. Undefined when the subnet has no IPv6 block. */
  takeIpv6(count: number): string[] | undefined {
    if (count === 0) return []
    if (this.ipv6CidrBlock === undefined) return undefined
    const prefix = this.ipv6CidrBlock.replace(/::\/64$/, '')
    return Array.from({ length: count }, () => `${prefix}::${(++this.#ipv6Given).toString(16)}`)
  }
}
