// What stands against a NodeENI because of where its nodes are and what they are. Pure.
import type { NodeENISpec } from '../api/node-eni.ts'
import type { Instance, InstanceType } from './ec2.ts'
import type { GivenUp } from './eni-plan.ts'
import { vpcIDsOf } from './inventory.ts'
import type { Network } from './network.ts'

/** `instances` are those of the matching nodes. Subnets and security groups are looked up in one VPC. */
export function vpcProblem(instances: readonly Instance[]): GivenUp | undefined {
  const vpcIDs = vpcIDsOf(instances).sort()
  if (vpcIDs.length < 2) return undefined
  const where = vpcIDs.map((vpcID) => `${instances.find((one) => one.vpcID === vpcID)?.id} in ${vpcID}`).join(', ')
  return {
    reason: 'SeveralVPCs',
    message: `the instances of the matching nodes are in several VPCs (${where}): make a NodeENI for each VPC, with a nodeSelector that matches its nodes only`,
  }
}

/** `zones` are those of the matching nodes. */
export function zoneProblem(network: Network, zones: ReadonlySet<string>): GivenUp | undefined {
  const subnetZones = [...new Set(network.subnets.map(({ zone }) => zone))]
  if (zones.size === 0 || subnetZones.some((zone) => zones.has(zone))) return undefined
  const where = network.subnets.map(({ id, zone }) => `${id} in ${zone}`).join(', ')
  return {
    reason: 'NoSubnetInZone',
    message: `the matching nodes are in ${[...zones].join(', ')}, but the subnets are ${where}`,
  }
}

/** `types` are those of the matching nodes' instances. */
export function indexProblem({ deviceIndex }: NodeENISpec, types: readonly InstanceType[]): GivenUp | undefined {
  const limits = types.flatMap(({ cards }) => cards.map(({ maxInterfaces }) => maxInterfaces))
  const highest = Math.max(...limits) - 1
  if (limits.length === 0 || deviceIndex <= highest) return undefined
  return {
    reason: 'InvalidDeviceIndex',
    message: `deviceIndex ${deviceIndex} does not exist on any matching node: the highest index is ${highest}`,
  }
}
