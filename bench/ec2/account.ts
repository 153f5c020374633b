// The simulated account of a cluster of any size: nodes in three zones, and in each zone a subnet for the nodes and one for ENIs.
import type { World } from '../../sim/ec2/world.ts'

const region = 'eu-north-1'
const zones = ['a', 'b', 'c']
/** Eight interfaces, the primary one included. */
const instanceType = 'm5.4xlarge'

export const securityGroup = 'sg-upf'
export const eniSubnets = zones.map((zone) => `subnet-eni${zone}`)

export function accountOf(nodes: number): World {
  const vpcId = 'vpc-1'
  const subnets = zones.flatMap((zone, i) => {
    const common = { vpcId, availabilityZone: `${region}${zone}` }
    return [
      { ...common, subnetId: `subnet-node${zone}`, cidrBlock: `10.0.${i * 16}.0/20` },
      { ...common, subnetId: `subnet-eni${zone}`, cidrBlock: `10.0.${64 + i * 16}.0/20` },
    ]
  })
  const instances = Array.from({ length: nodes }, (_, i) => ({
    instanceId: `i-${nodeName(i)}`,
    instanceType,
    subnetId: `subnet-node${zones[i % zones.length]}`,
  }))
  const securityGroups = [{ groupId: securityGroup, groupName: 'upf', vpcId }]
  return { region, vpcs: [{ vpcId, cidrBlock: '10.0.0.0/16' }], subnets, securityGroups, instances }
}

export function nodeName(i: number): string {
  return `n${i}`
}
