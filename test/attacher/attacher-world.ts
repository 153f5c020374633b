// The account of the attacher's tests: three zones, nodes in two of them, few ENI slots.
import type { World } from '../../sim/ec2/world.ts'

const zone = (letter: string) => `eu-north-1${letter}`
export const subnet = (subnetId: string, letter: string, cidrBlock: string) => ({
  subnetId,
  vpcId: 'vpc-1',
  availabilityZone: zone(letter),
  cidrBlock,
})

export const resource = 'intel.com/upf_dataplane'

export const attacherWorld = {
  region: 'eu-north-1',
  vpcs: [
    { vpcId: 'vpc-1', cidrBlock: '10.0.0.0/16' },
    { vpcId: 'vpc-2', cidrBlock: '10.9.0.0/16' },
  ],
  subnets: [
    { ...subnet('subnet-a1', 'a', '10.0.0.0/20'), tags: { Name: 'n3' } },
    { ...subnet('subnet-a2', 'a', '10.0.16.0/24'), tags: { Name: 'twice' } },
    { ...subnet('subnet-a3', 'a', '10.0.17.0/24'), tags: { Name: 'twice' } },
    subnet('subnet-b1', 'b', '10.0.32.0/20'),
    subnet('subnet-c1', 'c', '10.0.48.0/20'),
    { subnetId: 'subnet-other', vpcId: 'vpc-2', availabilityZone: zone('a'), cidrBlock: '10.9.0.0/20' },
  ],
  securityGroups: [
    { groupId: 'sg-upf', groupName: 'upf', vpcId: 'vpc-1' },
    { groupId: 'sg-second', groupName: 'second', vpcId: 'vpc-1' },
    { groupId: 'sg-other', groupName: 'other', vpcId: 'vpc-2' },
  ],
  instances: [
    { instanceId: 'i-a1', instanceType: 'm5.xlarge', subnetId: 'subnet-a1' },
    { instanceId: 'i-a2', instanceType: 'm5.xlarge', subnetId: 'subnet-a1' },
    { instanceId: 'i-b1', instanceType: 'm5.xlarge', subnetId: 'subnet-b1' },
    { instanceId: 'i-full', instanceType: 'm5.4xlarge', subnetId: 'subnet-a1', ebsVolumes: 27 },
    { instanceId: 'i-volumes', instanceType: 'm5.4xlarge', subnetId: 'subnet-a1', ebsVolumes: 26 },
    { instanceId: 'i-cards', instanceType: 'c6in.32xlarge', subnetId: 'subnet-a1' },
    { instanceId: 'i-dedicated', instanceType: 'm7i.4xlarge', subnetId: 'subnet-a1' },
  ],
} satisfies World
