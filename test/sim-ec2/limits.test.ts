// How many interfaces fit: slots of a card, cards of a type, the budget shared with EBS volumes.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { SubnetAddresses } from '../../sim/ec2/state/subnet-addresses.ts'

import { ec2UnderTest, refused } from './ec2-under-test.ts'

test('a full instance says how many interfaces it would have and of what type it is', async (t) => {
  const { create, attach } = await ec2UnderTest(t)
  await attach(await create(), 'i-large', 1)
  await attach(await create(), 'i-large', 2)
  const words = 'Interface count 4 exceeds the limit for m5.large'
  await refused(attach(await create(), 'i-large', 3), 'AttachmentLimitExceeded', words)
})

test('a detaching interface keeps its slot until it is gone', async (t) => {
  const { client, clock, create, attach } = await ec2UnderTest(t, { delays: { detachMs: 2500 } })
  const AttachmentId = await attach(await create(), 'i-large', 1)
  await attach(await create(), 'i-large', 2)
  await client.detachNetworkInterface({ AttachmentId })
  await refused(attach(await create(), 'i-large', 1), 'AttachmentLimitExceeded')
  clock.advance(2500)
  await attach(await create(), 'i-large', 1)
})

test('each card has its own slots and its own indexes', async (t) => {
  const { create, attach } = await ec2UnderTest(t)
  await attach(await create(), 'i-cards', 1, 0)
  await refused(attach(await create(), 'i-cards', 1, 0), 'AttachmentLimitExceeded')
  await attach(await create(), 'i-cards', 1, 1)
  await attach(await create(), 'i-cards', 0, 1)
  await refused(attach(await create(), 'i-cards', 0, 32), 'InvalidParameterValue', 'networkCardIndex')
})

test('an index beyond the slots of its card is refused', async (t) => {
  const { create, attach } = await ec2UnderTest(t)
  await refused(attach(await create(), 'i-large', 50), 'InvalidParameterValue', 'deviceIndex')
})

test('an attach beyond the budget shared with EBS is accepted and stays attaching, and no device comes', async (t) => {
  const plugged: string[] = []
  const hypervisor = { plug: (_: string, { eniId }: { eniId: string }) => void plugged.push(eniId), unplug() {} }
  const { ec2, client, create, attach } = await ec2UnderTest(t, { hypervisor })
  const [fits, over] = [await create(), await create()]
  await attach(fits, 'i-volumes', 1)
  const AttachmentId = await attach(over, 'i-volumes', 2)
  assert.equal(ec2.state.eni(fits).attachment?.status, 'attached')
  assert.equal(ec2.state.eni(over).attachment?.status, 'attaching')
  assert.deepEqual([plugged.includes(fits), plugged.includes(over)], [true, false])
  ec2.stopInstance('i-volumes')
  ec2.startInstance('i-volumes')
  assert.equal(plugged.includes(over), false)
  await client.detachNetworkInterface({ AttachmentId })
  assert.equal(ec2.state.eni(over).status, 'available')
})

test('a subnet is a /16 to /28 and keeps five of its addresses', () => {
  const free = (prefixLength: number) => new SubnetAddresses(`10.0.0.0/${prefixLength}`).free
  assert.deepEqual([free(16), free(24), free(28)], [65_531, 251, 11])
  for (const prefixLength of [15, 29]) assert.throws(() => free(prefixLength), /a subnet is a \/16 to \/28/)
})

test('the maximum of a card holds, since nobody can spread its queues by hand to get the flexible interfaces', async (t) => {
  const { ec2, client, create, attach } = await ec2UnderTest(t)
  ec2.launchInstance({ instanceId: 'i-flexible', instanceType: 'c6in.32xlarge', subnetId: 'subnet-a' })
  for (let index = 1; index < 8; index++) await attach(await create(), 'i-flexible', index)
  await refused(attach(await create(), 'i-flexible', 8), 'AttachmentLimitExceeded')
  const byHand = client.attachNetworkInterface({
    NetworkInterfaceId: await create(),
    InstanceId: 'i-flexible',
    DeviceIndex: 8,
    EnaQueueCount: 2,
  })
  await refused(byHand, 'UnknownParameter', 'EnaQueueCount')
})

test('local NVMe volumes take their part of the shared budget', async (t) => {
  const { ec2, create, attach } = await ec2UnderTest(t)
  const isStuck = async (instanceType: string, ebsVolumes: number) => {
    const instanceId = `i-${instanceType.replace('.', '')}${ebsVolumes}`
    ec2.launchInstance({ instanceId, instanceType, subnetId: 'subnet-a', ebsVolumes })
    const eniId = await create()
    await attach(eniId, instanceId, 1)
    return ec2.state.eni(eniId).attachment?.status === 'attaching'
  }
  assert.deepEqual([await isStuck('m5.24xlarge', 26), await isStuck('m5.24xlarge', 27)], [false, true])
  assert.deepEqual([await isStuck('m5d.24xlarge', 22), await isStuck('m5d.24xlarge', 23)], [false, true])
})

test('all types are known, also those whose cards differ and those without IPv6', async (t) => {
  const { client } = await ec2UnderTest(t)
  let count = 0
  let NextToken: string | undefined
  do {
    const page = await client.describeInstanceTypes({ NextToken })
    count += page.InstanceTypes?.length ?? 0
    NextToken = page.NextToken
  } while (NextToken !== undefined)
  assert.equal(count, 1395)
  const { InstanceTypes = [] } = await client.describeInstanceTypes({ InstanceTypes: ['i7ie.48xlarge', 'm3.large'] })
  const [i7ie, m3] = InstanceTypes.map((type) => type.NetworkInfo)
  assert.deepEqual(
    i7ie?.NetworkCards?.map((card) => card.MaximumNetworkInterfaces),
    [8, 7],
  )
  assert.deepEqual([i7ie?.MaximumNetworkInterfaces, i7ie?.Ipv6Supported], [15, true])
  assert.deepEqual([m3?.Ipv4AddressesPerInterface, m3?.Ipv6AddressesPerInterface, m3?.Ipv6Supported], [10, 0, false])
})

test('types answer their cards, their slots and their attachment budget', async (t) => {
  const { client } = await ec2UnderTest(t)
  const { InstanceTypes = [] } = await client.describeInstanceTypes({ InstanceTypes: ['c6in.32xlarge', 'm5.large'] })
  const [c6in, m5] = InstanceTypes
  assert.equal(m5?.NetworkInfo?.MaximumNetworkInterfaces, 3)
  assert.equal(m5?.EbsInfo?.AttachmentLimitType, 'shared')
  assert.equal(m5?.EbsInfo?.MaximumEbsAttachments, 27)
  assert.equal(c6in?.NetworkInfo?.MaximumNetworkInterfaces, 16)
  assert.deepEqual(
    c6in?.NetworkInfo?.NetworkCards?.map((card) => [
      card.NetworkCardIndex,
      card.MaximumNetworkInterfaces,
      card.AdditionalFlexibleNetworkInterfaces,
    ]),
    [
      [0, 8, 4],
      [1, 8, 4],
    ],
  )
  await refused(client.describeInstanceTypes({ InstanceTypes: ['x9.huge' as 'm5.large'] }), 'InvalidInstanceType')
})
