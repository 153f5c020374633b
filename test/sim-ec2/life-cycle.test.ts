// The life of an interface, call by call, as the SDK sees it.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ec2UnderTest, refused } from './ec2-under-test.ts'

test('an interface goes from pending to in-use and back to available, each state as long as its delay', async (t) => {
  const delays = { createMs: 1000, attachMs: 4000, detachMs: 2500 }
  const { client, clock, create, attach } = await ec2UnderTest(t, { delays })
  const eniId = await create()
  const states = async () => {
    const { NetworkInterfaces: [eni] = [] } = await client.describeNetworkInterfaces({ NetworkInterfaceIds: [eniId] })
    return [eni?.Status, eni?.Attachment?.Status]
  }

  assert.deepEqual(await states(), ['pending', undefined])
  clock.advance(1000)
  assert.deepEqual(await states(), ['available', undefined])

  const AttachmentId = await attach(eniId, 'i-large', 1)
  clock.advance(3999)
  assert.deepEqual(await states(), ['in-use', 'attaching'])
  clock.advance(1)
  assert.deepEqual(await states(), ['in-use', 'attached'])

  await client.detachNetworkInterface({ AttachmentId })
  clock.advance(2499)
  assert.deepEqual(await states(), ['detaching', 'detaching'])
  clock.advance(1)
  assert.deepEqual(await states(), ['available', undefined])

  await client.deleteNetworkInterface({ NetworkInterfaceId: eniId })
  await refused(states(), 'InvalidNetworkInterfaceID.NotFound')
})

test('the interface itself may be attaching first, whatever its attachment is', async (t) => {
  const { ec2, client, clock, create, attach } = await ec2UnderTest(t, { delays: { inUseMs: 1000, attachMs: 500 } })
  const [eniId, detached] = [await create(), await create()]
  const states = (id: string) => [ec2.state.eni(id).status, ec2.state.eni(id).attachment?.status]
  await attach(eniId, 'i-large', 1)
  await client.detachNetworkInterface({ AttachmentId: await attach(detached, 'i-large', 2) })
  assert.deepEqual(states(eniId), ['attaching', 'attaching'])
  clock.advance(999)
  assert.deepEqual(states(eniId), ['attaching', 'attached'])
  clock.advance(1)
  assert.deepEqual(states(eniId), ['in-use', 'attached'])
  assert.deepEqual(states(detached), ['available', undefined])
})

test('create answers what was asked for, and says pending even without a delay', async (t) => {
  const { client } = await ec2UnderTest(t)
  const { NetworkInterface: eni } = await client.createNetworkInterface({
    SubnetId: 'subnet-0a1b2c3d4e5f6g7h8',
    Groups: ['sg-0123456789abcdef0', 'sg-fedcba9876543210f'],
    Description: 'n3 of <upf> & "friends"',
    SecondaryPrivateIpAddressCount: 2,
    Ipv6AddressCount: 1,
    TagSpecifications: [
      { ResourceType: 'network-interface', Tags: [{ Key: 'node.k8s.amazonaws.com/no_manage', Value: 'true' }] },
    ],
  })
  assert.match(eni?.NetworkInterfaceId ?? '', /^eni-0[0-9a-f]{16}$/)
  assert.match(eni?.MacAddress ?? '', /^02(:[0-9a-f]{2}){5}$/)
  assert.equal(eni?.Status, 'pending')
  assert.equal(eni?.VpcId, 'vpc-1')
  assert.equal(eni?.AvailabilityZone, 'eu-north-1a')
  assert.equal(eni?.Description, 'n3 of <upf> & "friends"')
  assert.equal(eni?.SourceDestCheck, true)
  assert.deepEqual(
    eni?.Groups?.map((group) => group.GroupName),
    ['upf', 'nodes'],
  )
  assert.deepEqual(
    eni?.PrivateIpAddresses?.map((address) => [address.PrivateIpAddress, address.Primary]),
    [
      ['10.0.16.4', true],
      ['10.0.16.5', false],
      ['10.0.16.6', false],
    ],
  )
  assert.deepEqual(
    eni?.Ipv6Addresses?.map((address) => address.Ipv6Address),
    ['2600:1f14:abc:de00::1'],
  )
  assert.deepEqual(eni?.TagSet, [{ Key: 'node.k8s.amazonaws.com/no_manage', Value: 'true' }])
})

test('without groups an interface gets the default group of its VPC', async (t) => {
  const { client } = await ec2UnderTest(t)
  const { NetworkInterface: eni } = await client.createNetworkInterface({ SubnetId: 'subnet-a' })
  assert.deepEqual(
    eni?.Groups?.map((group) => group.GroupName),
    ['default'],
  )
})

test('an interface may be attached while it is still pending, as the VPC CNI does', async (t) => {
  const { ec2, clock, create, attach } = await ec2UnderTest(t, { delays: { createMs: 1000 } })
  const eniId = await create()
  await attach(eniId, 'i-large', 1)
  clock.advance(1000)
  assert.equal(ec2.state.eni(eniId).status, 'in-use')
})

test('an instance shows its interfaces with their slots', async (t) => {
  const { client, create, attach } = await ec2UnderTest(t)
  await attach(await create(), 'i-cards', 1, 31)
  const { Reservations } = await client.describeInstances({ InstanceIds: ['i-cards'] })
  const instance = Reservations?.[0]?.Instances?.[0]
  assert.equal(instance?.State?.Name, 'running')
  assert.equal(instance?.Placement?.AvailabilityZone, 'eu-north-1a')
  assert.equal(instance?.BlockDeviceMappings?.length, 1)
  assert.deepEqual(
    instance?.NetworkInterfaces?.map(({ Attachment: at }) => [at?.NetworkCardIndex, at?.DeviceIndex, at?.Status]),
    [
      [0, 0, 'attached'],
      [31, 1, 'attached'],
    ],
  )
})

test('DeleteOnTermination is false after an attach, is set by modify, and is lost at detach', async (t) => {
  const { ec2, client, create, attach } = await ec2UnderTest(t)
  const eniId = await create()
  const AttachmentId = await attach(eniId, 'i-large', 1)
  const deleteOnTermination = () => ec2.state.eni(eniId).attachment?.deleteOnTermination
  assert.equal(deleteOnTermination(), false)

  const Attachment = { AttachmentId, DeleteOnTermination: true }
  await client.modifyNetworkInterfaceAttribute({ NetworkInterfaceId: eniId, Attachment })
  assert.equal(deleteOnTermination(), true)

  await client.detachNetworkInterface({ AttachmentId })
  await attach(eniId, 'i-large', 1)
  assert.equal(deleteOnTermination(), false)
})

test('modify changes description, source/destination check and groups', async (t) => {
  const { client, create } = await ec2UnderTest(t)
  const NetworkInterfaceId = await create()
  const modify = (change: object) => client.modifyNetworkInterfaceAttribute({ NetworkInterfaceId, ...change })
  await modify({ SourceDestCheck: { Value: false } })
  await modify({ Description: { Value: 'n6' } })
  await modify({ Groups: ['sg-0123456789abcdef0'] })
  const { NetworkInterfaces: [eni] = [] } = await client.describeNetworkInterfaces({
    NetworkInterfaceIds: [NetworkInterfaceId],
  })
  assert.equal(eni?.SourceDestCheck, false)
  assert.equal(eni?.Description, 'n6')
  assert.deepEqual(eni?.Groups, [{ GroupId: 'sg-0123456789abcdef0', GroupName: 'upf' }])
})

test('tags are added, replaced and deleted on any resource', async (t) => {
  const { ec2, client, create } = await ec2UnderTest(t)
  const eniId = await create()
  const Resources = [eniId, 'subnet-a']
  await client.createTags({
    Resources,
    Tags: [
      { Key: 'a', Value: '1' },
      { Key: 'b', Value: '' },
    ],
  })
  await client.createTags({ Resources: [eniId], Tags: [{ Key: 'a', Value: '2' }] })
  await client.deleteTags({ Resources, Tags: [{ Key: 'b' }, { Key: 'a', Value: '1' }] })
  assert.deepEqual([...ec2.state.eni(eniId).tags], [['a', '2']])
  assert.deepEqual([...ec2.state.subnet('subnet-a').tags], [])
})

test('the free addresses of a subnet are those that EC2 would count', async (t) => {
  const { client, create } = await ec2UnderTest(t)
  const free = async () => {
    const { Subnets } = await client.describeSubnets({ SubnetIds: ['subnet-tiny'] })
    return Subnets?.[0]?.AvailableIpAddressCount
  }
  assert.equal(await free(), 11)
  const eniId = await create('subnet-tiny')
  assert.equal(await free(), 10)
  await client.deleteNetworkInterface({ NetworkInterfaceId: eniId })
  assert.equal(await free(), 11)
})
