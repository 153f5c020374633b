// The account that the tests of the simulated EC2 start from: two zones, two VPCs, a tiny subnet, one instance of each kind.

import type { World } from '../../sim/ec2/world.ts'

export const smallWorld = {
  region: 'eu-north-1',
  vpcs: [
    { vpcId: 'vpc-1', cidrBlock: '10.0.0.0/16' },
    { vpcId: 'vpc-2', cidrBlock: '10.9.0.0/16' },
  ],
  subnets: [
    { subnetId: 'subnet-a', vpcId: 'vpc-1', availabilityZone: 'eu-north-1a', cidrBlock: '10.0.0.0/20' },
    {
      subnetId: 'subnet-0a1b2c3d4e5f6g7h8',
      vpcId: 'vpc-1',
      availabilityZone: 'eu-north-1a',
      cidrBlock: '10.0.16.0/24',
      ipv6CidrBlock: '2600:1f14:abc:de00::/64',
      tags: { Name: 'n3' },
    },
    { subnetId: 'subnet-tiny', vpcId: 'vpc-1', availabilityZone: 'eu-north-1a', cidrBlock: '10.0.17.0/28' },
    { subnetId: 'subnet-b', vpcId: 'vpc-1', availabilityZone: 'eu-north-1b', cidrBlock: '10.0.32.0/20' },
    { subnetId: 'subnet-other', vpcId: 'vpc-2', availabilityZone: 'eu-north-1a', cidrBlock: '10.9.0.0/20' },
  ],
  securityGroups: [
    { groupId: 'sg-0123456789abcdef0', groupName: 'upf', vpcId: 'vpc-1' },
    { groupId: 'sg-fedcba9876543210f', groupName: 'nodes', vpcId: 'vpc-1' },
    { groupId: 'sg-other', groupName: 'other', vpcId: 'vpc-2' },
  ],
  instances: [
    {
      instanceId: 'i-large',
      instanceType: 'm5.large',
      subnetId: 'subnet-a',
      groupIds: ['sg-fedcba9876543210f'],
      privateDnsName: 'ip-10-0-0-4.eu-north-1.compute.internal',
      primary: { eniId: 'eni-primary', privateIpAddress: '10.0.0.4' },
    },
    {
      instanceId: 'i-cni',
      instanceType: 'm5.xlarge',
      subnetId: 'subnet-a',
      foreignInterfaces: [
        {
          deviceIndex: 1,
          description: 'aws-K8S-i-cni',
          secondaryPrivateIpAddressCount: 14,
          tags: { 'node.k8s.amazonaws.com/instance_id': 'i-cni' },
        },
      ],
    },
    { instanceId: 'i-cards', instanceType: 'p5.48xlarge', subnetId: 'subnet-a' },
    { instanceId: 'i-volumes', instanceType: 'm5.4xlarge', subnetId: 'subnet-a', ebsVolumes: 26 },
    { instanceId: 'i-stopped', instanceType: 'm5.large', subnetId: 'subnet-a', state: 'stopped' },
  ],
} satisfies World
