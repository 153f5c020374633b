// What EC2 refuses, with the code and the words that clients go by.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import type { EC2 } from '@aws-sdk/client-ec2'

import { type Ec2UnderTest, ec2UnderTest, refused } from './ec2-under-test.ts'
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
  test('of an interface that is attached already', async (t) => {
    const { create, attach } = await ec2UnderTest(t)
    const eniId = await create()
    await attach(eniId, 'i-large', 1)
    await refused(attach(eniId, 'i-large', 2), 'InvalidNetworkInterface.InUse', `Interface: [${eniId}] in use.`)
  })

  test('at an index that is taken', async (t) => {
    const { create, attach } = await ec2UnderTest(t)
    const words = "already has an interface attached at device index '1'"
    await refused(attach(await create(), 'i-cni', 1), 'InvalidParameterValue', words)
  })

  test('across zones', async (t) => {
    const { create, attach } = await ec2UnderTest(t)
    const words = 'not in the same availability zone'
    await refused(attach(await create('subnet-b'), 'i-large', 1), 'InvalidParameterCombination', words)
  })

  test('to an instance that shuts down', async (t) => {
    const { ec2, create, attach } = await ec2UnderTest(t, { delays: { stopMs: 30_000 } })
    const eniId = await create()
    ec2.terminateInstance('i-large')
    await refused(attach(eniId, 'i-large', 1), 'IncorrectState', "Instance 'i-large' is not 'running'")
  })

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

  test('of an interface with more addresses than the type allows for one', async (t) => {
    const { client, attach } = await ec2UnderTest(t)
    const { NetworkInterface } = await client.createNetworkInterface({
      SubnetId: 'subnet-a',
      SecondaryPrivateIpAddressCount: 10,
    })
    const attached = attach(NetworkInterface?.NetworkInterfaceId ?? '', 'i-large', 1)
    await refused(attached, 'InvalidInterface.IpAddressLimitExceeded')
  })
})

describe('a create', () => {
  test('in a subnet without a free address takes none', async (t) => {
    const { ec2, client, create } = await ec2UnderTest(t)
    for (let left = 10; left > 0; left--) await create('subnet-tiny')
    const tooMany = client.createNetworkInterface({ SubnetId: 'subnet-tiny', SecondaryPrivateIpAddressCount: 1 })
    await refused(tooMany, 'InsufficientFreeAddressesInSubnet')
    assert.equal(ec2.state.subnet('subnet-tiny').addresses.free, 1)
    await create('subnet-tiny')
    await refused(create('subnet-tiny'), 'InsufficientFreeAddressesInSubnet')
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

  test('with six groups', async (t) => {
    const { client } = await ec2UnderTest(t)
    const Groups = Array.from({ length: 6 }, () => 'sg-0123456789abcdef0')
    const call = client.createNetworkInterface({ SubnetId: 'subnet-a', Groups })
    await refused(call, 'SecurityGroupsPerInterfaceLimitExceeded')
  })

  test('beyond the quota of the region', async (t) => {
    const world = { ...smallWorld, maximumNetworkInterfaces: 7 }
    const { create } = await ec2UnderTest(t, { world })
    await create()
    await refused(create(), 'NetworkInterfaceLimitExceeded')
  })

  test('with tags for another type, or with tags of AWS', async (t) => {
    const { client } = await ec2UnderTest(t)
    const tagged = (ResourceType: 'instance' | 'network-interface', Key: string) =>
      client.createNetworkInterface({
        SubnetId: 'subnet-a',
        TagSpecifications: [{ ResourceType, Tags: [{ Key, Value: '' }] }],
      })
    await refused(tagged('instance', 'a'), 'InvalidParameterValue', "'instance' is not a valid taggable resource type")
    await refused(tagged('network-interface', 'aws:a'), 'InvalidParameterValue', 'reserved')
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
  const primaryAttachment = ({ ec2 }: Ec2UnderTest) => ec2.state.eni('eni-primary').attachment?.attachmentId

  test('of the primary interface', async (t) => {
    const underTest = await ec2UnderTest(t)
    const detached = underTest.client.detachNetworkInterface({ AttachmentId: primaryAttachment(underTest) })
    const words = 'The network interface at device index 0 and networkCard index 0 cannot be detached.'
    await refused(detached, 'OperationNotPermitted', words)
  })

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
