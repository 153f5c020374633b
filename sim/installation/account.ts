// The simulated AWS account of a cluster: one VPC with two zones, the subnets and security groups of the walk-through, and an
// instance behind each node.
import type { GuestMachine } from '../guest/machine.ts'
import type { World, WorldInstance } from '../ec2/world.ts'

const vpcId = 'vpc-0a1b2c3d4e5f60718'
const region = 'eu-west-1'

export const zones = { a: `${region}a`, b: `${region}b` } as const
export type Zone = keyof typeof zones

/** What manifests name. The ids of the walk-through are not all hexadecimal. */
export const network = {
  controlPlaneSubnet: 'subnet-0a1b2c3d4e5f6g7h8',
  userPlaneSubnet: 'subnet-9i8h7g6f5e4d3c2b1',
  /** In the other zone. */
  farSubnet: 'subnet-0far0far0far0far0',
  controlPlaneGroup: 'sg-0123456789abcdef0',
  userPlaneGroup: 'sg-fedcba9876543210f',
} as const

const nodeSubnet = { a: 'subnet-0nodes0nodes0nod0a', b: 'subnet-0nodes0nodes0nod0b' } as const

export interface InstallationNode {
  readonly name: string
  readonly zone: Zone
  readonly instanceType: string
  readonly labels?: Readonly<Record<string, string>>
  /** A virtual machine with a real kernel; unless given, the node is in namespaces of this machine, with a simulated PCI bus. */
  readonly machine?: GuestMachine
}

export function instanceIdOf(index: number): string {
  return `i-0${String(index).padStart(16, '0')}`
}

export function providerIdOf({ zone }: InstallationNode, index: number): string {
  return `aws:///${zones[zone]}/${instanceIdOf(index)}`
}

export function primaryMacOf(index: number): string {
  return `02:00:00:00:00:${(index + 1).toString(16).padStart(2, '0')}`
}

export function accountFor(nodes: readonly InstallationNode[]): World {
  const subnet = (subnetId: string, zone: Zone, cidrBlock: string, name: string) => ({
    subnetId,
    vpcId,
    availabilityZone: zones[zone],
    cidrBlock,
    tags: { Name: name },
  })
  return {
    region,
    vpcs: [{ vpcId, cidrBlock: '10.0.0.0/16' }],
    subnets: [
      subnet(nodeSubnet.a, 'a', '10.0.0.0/20', 'nodes-a'),
      subnet(nodeSubnet.b, 'b', '10.0.16.0/20', 'nodes-b'),
      subnet(network.controlPlaneSubnet, 'a', '10.0.32.0/24', 'control-plane'),
      subnet(network.userPlaneSubnet, 'a', '10.0.64.0/20', 'user-plane'),
      subnet(network.farSubnet, 'b', '10.0.80.0/24', 'far'),
    ],
    securityGroups: [
      { groupId: network.controlPlaneGroup, groupName: 'control-plane', vpcId },
      { groupId: network.userPlaneGroup, groupName: 'user-plane', vpcId },
    ],
    instances: nodes.map(({ zone, instanceType }, index): WorldInstance => ({
      instanceId: instanceIdOf(index),
      instanceType,
      subnetId: nodeSubnet[zone],
      primary: { mac: primaryMacOf(index) },
    })),
  }
}
