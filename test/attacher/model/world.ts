// The account of the model: two zones, little room on every instance, one subnet that is soon exhausted.
import type { World, WorldInstance } from '../../../sim/ec2/world.ts'
import { subnet } from '../attacher-world.ts'

export const resources = ['intel.com/upf_dataplane', 'intel.com/other'] as const
export type Resource = (typeof resources)[number]

export const nodeNames = ['a1', 'a2', 'b1'] as const
export type NodeName = (typeof nodeNames)[number]

/** Where nodes have their primary interfaces, and VPC CNI its own. */
const nodeSubnets: Readonly<Record<string, string>> = { a: 'subnet-nodesa', b: 'subnet-nodesb' }

export const instanceShapes = {
  /** Four ENIs. */
  'm5.xlarge': {},
  /** Three ENIs. */
  'm5.large': {},
  /** Eight ENIs, and with these volumes attachments for only one beside the primary. */
  'm5.4xlarge': { ebsVolumes: 26 },
  /** Eight ENIs on each of two network cards. */
  'c6in.32xlarge': {},
} satisfies Readonly<Record<string, Partial<WorldInstance>>>
export type InstanceShape = keyof typeof instanceShapes

export function instanceOf(instanceId: string, nodeName: NodeName, shape: InstanceShape): WorldInstance {
  const subnetId = nodeSubnets[nodeName.slice(0, 1)] ?? ''
  return { instanceId, instanceType: shape, subnetId, ...instanceShapes[shape] }
}

export const otherInstance = 'i-theirs'

/** `b1`: the shape of the only node in zone b. */
export const worldWith = (b1: InstanceShape): World => ({
  region: 'eu-north-1',
  vpcs: [{ vpcId: 'vpc-1', cidrBlock: '10.0.0.0/16' }],
  subnets: [
    subnet('subnet-nodesa', 'a', '10.0.64.0/24'),
    subnet('subnet-nodesb', 'b', '10.0.65.0/24'),
    subnet('subnet-a1', 'a', '10.0.0.0/20'),
    // Eleven addresses.
    subnet('subnet-a2', 'a', '10.0.16.0/28'),
    subnet('subnet-b1', 'b', '10.0.32.0/20'),
  ],
  securityGroups: [
    { groupId: 'sg-upf', groupName: 'upf', vpcId: 'vpc-1' },
    { groupId: 'sg-second', groupName: 'second', vpcId: 'vpc-1' },
  ],
  instances: [
    instanceOf('i-a1', 'a1', 'm5.xlarge'),
    instanceOf('i-a2', 'a2', 'm5.large'),
    instanceOf('i-b1', 'b1', b1),
    { instanceId: otherInstance, instanceType: 'm5.xlarge', subnetId: 'subnet-nodesa' },
  ],
})
