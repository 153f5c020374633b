// How many interfaces fit: slots of a card, cards of a type, the budget shared with EBS volumes.

import assert from 'node:assert/strict'
import { test } from 'node:test'

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

test('types answer their cards, their slots and their attachment budget', async (t) => {
  const { client } = await ec2UnderTest(t)
  const { InstanceTypes = [] } = await client.describeInstanceTypes({ InstanceTypes: ['m5.large', 'c6in.32xlarge'] })
  const [m5, c6in] = InstanceTypes
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
