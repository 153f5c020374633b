// What EC2 refuses, with the code and the words that clients go by.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import type { EC2, Tag } from '@aws-sdk/client-ec2'

import { ec2UnderTest, refused } from './ec2-under-test.ts'
import { smallWorld } from './small-world.ts'

describe('a call that names what is not there or is not an id', () => {
  const calls: [string, (client: EC2) => Promise<unknown>, string, string?][] = [
    [
      'unknown subnet',
      (ec2) => ec2.createNetworkInterface({ SubnetId: 'subnet-9i8h7g6f5e4d3c2b1' }),
      'InvalidSubnetID.NotFound',
      "The subnet ID 'subnet-9i8h7g6f5e4d3c2b1' does not exist",
    ],
    [
      'unknown security group',
      (ec2) => ec2.createNetworkInterface({ SubnetId: 'subnet-a', Groups: ['sg-0'] }),
      'InvalidGroup.NotFound',
      "The security group 'sg-0' does not exist",
    ],
    [
      'security group of another VPC',
      (ec2) => ec2.createNetworkInterface({ SubnetId: 'subnet-a', Groups: ['sg-other'] }),
      'InvalidGroup.NotFound',
      'different networks',
    ],
    [
      'unknown interface to attach',
      (ec2) => ec2.attachNetworkInterface({ NetworkInterfaceId: 'eni-0', InstanceId: 'i-large', DeviceIndex: 1 }),
      'InvalidNetworkInterfaceID.NotFound',
    ],
    [
      'unknown interface to delete',
      (ec2) => ec2.deleteNetworkInterface({ NetworkInterfaceId: 'eni-0' }),
      'InvalidNetworkInterfaceID.NotFound',
      "The networkInterface ID 'eni-0' does not exist",
    ],
    [
      'unknown instance',
      (ec2) => ec2.attachNetworkInterface({ NetworkInterfaceId: 'eni-primary', InstanceId: 'i-0', DeviceIndex: 1 }),
      'InvalidInstanceID.NotFound',
      "The instance ID 'i-0' does not exist",
    ],
    [
      'unknown attachment',
      (ec2) => ec2.detachNetworkInterface({ AttachmentId: 'eni-attach-0' }),
      'InvalidAttachmentID.NotFound',
      "'eni-attach-0' does not exist",
    ],
    [
      'several unknown ids, all of which are named',
      (ec2) => ec2.describeInstances({ InstanceIds: ['i-large', 'i-0', 'i-1'] }),
      'InvalidInstanceID.NotFound',
      "The instance IDs 'i-0, i-1' do not exist",
    ],
    ['unknown resource to tag', (ec2) => ec2.createTags({ Resources: ['vol-1'], Tags: [{ Key: 'a' }] }), 'InvalidID'],
    [
      'malformed subnet id',
      (ec2) => ec2.createNetworkInterface({ SubnetId: 'subnet_a' }),
      'InvalidSubnetID.Malformed',
      'Invalid id: "subnet_a" (expecting "subnet-...")',
    ],
    [
      'malformed interface id',
      (ec2) => ec2.deleteNetworkInterface({ NetworkInterfaceId: 'eni-' }),
      'InvalidNetworkInterfaceId.Malformed',
    ],
    [
      'malformed instance id',
      (ec2) => ec2.describeInstances({ InstanceIds: ['large'] }),
      'InvalidInstanceID.Malformed',
    ],
    [
      'malformed attachment id',
      (ec2) => ec2.detachNetworkInterface({ AttachmentId: 'eni-primary' }),
      'InvalidNetworkInterfaceAttachmentId.Malformed',
    ],
    [
      'no subnet',
      (ec2) => ec2.createNetworkInterface({ SubnetId: undefined }),
      'MissingParameter',
      'The request must contain the parameter SubnetId',
    ],
    [
      'no device index',
      (ec2) =>
        ec2.attachNetworkInterface({ NetworkInterfaceId: 'eni-0', InstanceId: 'i-large', DeviceIndex: undefined }),
      'MissingParameter',
      'DeviceIndex',
    ],
  ]
  for (const [title, call, code, words] of calls) {
    test(title, async (t) => refused(call((await ec2UnderTest(t)).client), code, words))
  }
})

describe('an attach', () => {
  test('with ENA Express on a type that has none', async (t) => {
    const { client, create } = await ec2UnderTest(t)
    const attached = client.attachNetworkInterface({
      NetworkInterfaceId: await create(),
      InstanceId: 'i-large',
      DeviceIndex: 1,
      EnaSrdSpecification: { EnaSrdEnabled: true },
    })
    await refused(attached, 'InvalidParameterValue', 'ENA Express')
  })
})

describe('a create', () => {
  test('in a subnet without a free address takes none', async (t) => {
    const { ec2, client, create } = await ec2UnderTest(t)
    for (let left = 10; left > 0; left--) await create('subnet-tiny')
    const tooMany = client.createNetworkInterface({ SubnetId: 'subnet-tiny', SecondaryPrivateIpAddressCount: 1 })
    await refused(tooMany, 'InvalidParameterValue', "There aren't sufficient free Ipv4 addresses or prefixes")
    assert.equal(ec2.state.subnet('subnet-tiny').addresses.free, 1)
    await create('subnet-tiny')
    const words = 'The specified subnet does not have enough free addresses to satisfy the request.'
    await refused(create('subnet-tiny'), 'InsufficientFreeAddressesInSubnet', words)
  })

  test('with an address that is taken, reserved or elsewhere', async (t) => {
    const { client } = await ec2UnderTest(t)
    const at = (PrivateIpAddress: string) => client.createNetworkInterface({ SubnetId: 'subnet-a', PrivateIpAddress })
    await refused(at('10.0.0.4'), 'InvalidIPAddress.InUse')
    await refused(at('10.0.0.3'), 'InvalidParameterValue', "within the subnet's address range")
    await refused(at('10.0.32.9'), 'InvalidParameterValue', "within the subnet's address range")
  })

  test('with IPv6 in a subnet that has none', async (t) => {
    const { client } = await ec2UnderTest(t)
    await refused(client.createNetworkInterface({ SubnetId: 'subnet-a', Ipv6AddressCount: 1 }), 'InvalidParameterValue')
  })

  test('or a modify with more groups than the quota, which may be raised', async (t) => {
    const groups = (length: number) => Array.from({ length }, () => 'sg-0123456789abcdef0')
    for (const quota of [5, 16]) {
      const { client } = await ec2UnderTest(t, { world: { ...smallWorld, maximumGroupsPerInterface: quota } })
      const create = (count: number) =>
        client
          .createNetworkInterface({ SubnetId: 'subnet-a', Groups: groups(count) })
          .then(({ NetworkInterface }) => NetworkInterface?.NetworkInterfaceId)
      const NetworkInterfaceId = await create(quota)
      const code = 'SecurityGroupsPerInterfaceLimitExceeded'
      await refused(create(quota + 1), code, 'maximum number of security groups per interface')
      await refused(client.modifyNetworkInterfaceAttribute({ NetworkInterfaceId, Groups: groups(quota + 1) }), code)
    }
    const beyond = ec2UnderTest(t, { world: { ...smallWorld, maximumGroupsPerInterface: 17 } })
    await assert.rejects(beyond, /16 at most/)
  })

  test('with tags for another type', async (t) => {
    const { client } = await ec2UnderTest(t)
    const TagSpecifications = [{ ResourceType: 'instance' as const, Tags: [{ Key: 'a', Value: '' }] }]
    const created = client.createNetworkInterface({ SubnetId: 'subnet-a', TagSpecifications })
    await refused(created, 'InvalidParameterValue', "'instance' is not a valid taggable resource type")
  })

  test('or CreateTags beyond 50 tags of a resource, or with tags of AWS', async (t) => {
    const { ec2, client } = await ec2UnderTest(t)
    const tags = (count: number) => Array.from({ length: count }, (_, at) => ({ Key: `tag-${at}`, Value: '' }))
    const create = (Tags: Tag[]) =>
      client.createNetworkInterface({
        SubnetId: 'subnet-a',
        TagSpecifications: [{ ResourceType: 'network-interface', Tags }],
      })
    const { NetworkInterface } = await create(tags(50))
    const Resources = [NetworkInterface?.NetworkInterfaceId ?? '']
    await client.createTags({ Resources, Tags: [{ Key: 'tag-0', Value: 'replaced' }] })
    const more = [{ Key: 'one-more', Value: '' }]
    await refused(client.createTags({ Resources: ['subnet-a', ...Resources], Tags: more }), 'TagLimitExceeded')
    assert.equal(ec2.state.subnet('subnet-a').tags.size, 0, 'one that is full refuses all')
    await refused(create(tags(51)), 'TagLimitExceeded')
    const ofAws = [{ Key: 'aws:a', Value: '' }]
    await refused(client.createTags({ Resources: ['subnet-a'], Tags: ofAws }), 'InvalidParameterValue', 'reserved')
    await refused(create(ofAws), 'InvalidParameterValue', 'reserved')
  })

  test('of what is not modelled: it is refused, never ignored', async (t) => {
    const { client } = await ec2UnderTest(t)
    const prefixes = client.createNetworkInterface({ SubnetId: 'subnet-a', Ipv4PrefixCount: 1 })
    await refused(prefixes, 'UnknownParameter', 'The parameter Ipv4PrefixCount is not recognized')
    await refused(
      client.createNetworkInterface({ SubnetId: 'subnet-a', InterfaceType: 'efa' }),
      'InvalidParameterValue',
    )
  })

  test('that is a dry run changes nothing', async (t) => {
    const { ec2, client } = await ec2UnderTest(t)
    await refused(client.createNetworkInterface({ SubnetId: 'subnet-a', DryRun: true }), 'DryRunOperation')
    assert.equal(ec2.state.enis().length, 6)
  })
})

describe('a detach, delete or modify', () => {
  test('of an interface that is attached or still detaching', async (t) => {
    const { client, create, attach } = await ec2UnderTest(t, { delays: { detachMs: 2500 } })
    const NetworkInterfaceId = await create()
    const AttachmentId = await attach(NetworkInterfaceId, 'i-large', 1)
    const deleted = () => client.deleteNetworkInterface({ NetworkInterfaceId })
    const words = `Network interface '${NetworkInterfaceId}' is currently in use.`
    await refused(deleted(), 'InvalidParameterValue', words)
    await client.detachNetworkInterface({ AttachmentId })
    await refused(deleted(), 'InvalidParameterValue', words)
    await refused(client.detachNetworkInterface({ AttachmentId }), 'IncorrectState')
  })

  test('of two attributes at once, of none, or of an attachment that is not its own', async (t) => {
    const underTest = await ec2UnderTest(t)
    const modify = (change: object) =>
      underTest.client.modifyNetworkInterfaceAttribute({ NetworkInterfaceId: 'eni-primary', ...change })
    const two = { SourceDestCheck: { Value: false }, Description: { Value: '' } }
    await refused(modify(two), 'InvalidParameterCombination', 'description, sourceDestCheck')
    await refused(modify({}), 'InvalidParameterCombination')
    const Attachment = { AttachmentId: 'eni-attach-0', DeleteOnTermination: true }
    await refused(modify({ Attachment }), 'InvalidAttachmentID.NotFound')
  })
})

describe('what an interface is in cannot be deleted before it', () => {
  test('a security group, by any interface that has it', async (t) => {
    const { client } = await ec2UnderTest(t)
    const GroupId = 'sg-0123456789abcdef0'
    const { NetworkInterface } = await client.createNetworkInterface({ SubnetId: 'subnet-a', Groups: [GroupId] })
    await refused(client.deleteSecurityGroup({ GroupId }), 'DependencyViolation', `${GroupId} has a dependent object`)
    await client.deleteNetworkInterface({ NetworkInterfaceId: NetworkInterface?.NetworkInterfaceId })
    await client.deleteSecurityGroup({ GroupId })
    await refused(client.describeSecurityGroups({ GroupIds: [GroupId] }), 'InvalidGroup.NotFound')
  })

  test('the default group never', async (t) => {
    const { ec2, client } = await ec2UnderTest(t)
    const group = ec2.state.groups().find(({ groupName, vpcId }) => groupName === 'default' && vpcId === 'vpc-2')
    await refused(client.deleteSecurityGroup({ GroupId: group?.groupId ?? '' }), 'CannotDelete')
  })

  test('a subnet, in which an instance runs', async (t) => {
    const { client } = await ec2UnderTest(t)
    const words = "The subnet 'subnet-a' has dependencies and cannot be deleted."
    await refused(client.deleteSubnet({ SubnetId: 'subnet-a' }), 'DependencyViolation', words)
  })

  test('a subnet, with an interface of its own', async (t) => {
    const { client, create } = await ec2UnderTest(t)
    const NetworkInterfaceId = await create('subnet-b')
    const words = "The subnet 'subnet-b' has dependencies and cannot be deleted."
    await refused(client.deleteSubnet({ SubnetId: 'subnet-b' }), 'DependencyViolation', words)
    await client.deleteNetworkInterface({ NetworkInterfaceId })
    await client.deleteSubnet({ SubnetId: 'subnet-b' })
    await refused(create('subnet-b'), 'InvalidSubnetID.NotFound')
  })
})
