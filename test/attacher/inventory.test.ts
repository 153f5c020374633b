// What EC2 says of our instances, and what the extender is told of it: as many slots as an ENI can really be given.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { slotsFor } from '../../src/api/node-capacity.ts'
import type { Ec2, Instance, InstanceType } from '../../src/attacher/ec2.ts'
import { Inventory } from '../../src/attacher/inventory.ts'
import { chooseSlot, type Slot, type SlotPolicy } from '../../src/attacher/slot-map.ts'

import { allForUs } from './objects.ts'
import { TestClock } from './test-clock.ts'

const instanceOf = (interfaces: readonly Slot[], volumes = 1): Instance => ({
  id: 'i-1',
  type: 'type',
  state: 'running',
  vpcID: 'vpc-1',
  zone: 'eu-north-1a',
  interfaces: interfaces.map((slot) => ({ ...slot, eniID: `eni-${slot.networkCard}-${slot.deviceIndex}` })),
  volumes,
})
const typeOf = (maxima: readonly number[], sharedAttachments?: number): InstanceType => ({
  name: 'type',
  cards: maxima.map((maxInterfaces, index) => ({ index, maxInterfaces })),
  sharedAttachments,
})

async function inventoryOf(
  instance: Instance,
  types: readonly InstanceType[],
  policy: SlotPolicy = allForUs,
): Promise<Inventory> {
  const ec2: Partial<Ec2> = {
    describeInstances: async () => [instance],
    describeInstanceTypes: async () => [...types],
  }
  const inventory = new Inventory({ ec2: () => ec2 as Ec2, policy, clock: new TestClock() })
  await inventory.refresh([instance.id])
  return inventory
}

const capacityOf = async (instance: Instance, type: InstanceType, ours: readonly string[] = []) =>
  (await inventoryOf(instance, [type])).capacityOf('i-1', new Set(ours)) ?? assert.fail()

const primary = { networkCard: 0, deviceIndex: 0 }

test('c6in.32xlarge can be given 14 ENIs: index 0 of its second card is not for us', async () => {
  const capacity = await capacityOf(instanceOf([primary]), typeOf([8, 8]))
  assert.deepEqual(capacity.cards, [
    { index: 0, limit: 8, foreign: 1 },
    { index: 1, limit: 8, foreign: 1 },
  ])
  assert.equal(slotsFor(capacity), 14)
})

test('an efa-only interface at index 0 of a second card takes no slot from us', async () => {
  const efa = { networkCard: 1, deviceIndex: 0 }
  assert.equal(slotsFor(await capacityOf(instanceOf([primary, efa]), typeOf([8, 8]))), 14)
})

test('our own ENIs are not foreign, those of others are', async () => {
  const onCard = (deviceIndex: number) => ({ networkCard: 0, deviceIndex })
  const capacity = await capacityOf(instanceOf([primary, onCard(1), onCard(2)]), typeOf([4], 28), ['eni-0-2'])
  assert.deepEqual(capacity, {
    instanceID: 'i-1',
    cards: [{ index: 0, limit: 4, foreign: 2 }],
    shared: 28 - 1 - 2,
  })
})

const slot = fc.record({ networkCard: fc.nat(3), deviceIndex: fc.nat(9) })
const key = ({ networkCard, deviceIndex }: Slot) => `${networkCard}/${deviceIndex}`

test('the extender is told exactly as many slots as can be chosen one after the other', async () => {
  const worlds = fc.record({
    maxima: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 4 }),
    foreign: fc.uniqueArray(slot, { selector: key, maxLength: 20 }),
    firstIndex: fc.integer({ min: 1, max: 9 }),
    volumes: fc.nat(27),
    budget: fc.option(fc.integer({ min: 1, max: 28 }), { nil: undefined }),
  })
  await fc.assert(
    fc.asyncProperty(worlds, async ({ maxima, foreign, firstIndex, volumes, budget }) => {
      const onCards = foreign.filter(({ networkCard }) => networkCard < maxima.length)
      const type = typeOf(maxima, budget)
      const capacity = await capacityOf(instanceOf(onCards, volumes), type)
      // EC2 may not show the primary interface yet.
      const taken = [primary, ...onCards.filter((one) => key(one) !== key(primary))]
      const hasBudget = () => budget === undefined || taken.length + volumes < budget
      let chosen = 0
      for (let next = chooseSlot(type.cards, taken, firstIndex); next && hasBudget(); chosen++) {
        taken.push(next)
        next = chooseSlot(type.cards, taken, firstIndex)
      }
      assert.equal(slotsFor(capacity), chosen)
    }),
  )
})

test('an instance whose type EC2 has not described yet is not known yet', async () => {
  const inventory = await inventoryOf(instanceOf([primary]), [])
  assert.equal(inventory.isLookedUp('i-1'), false)
  assert.equal(inventory.capacityOf('i-1', new Set()), undefined)
})

test('what is kept for VPC CNI and for volumes is not offered', async () => {
  const policy: SlotPolicy = { cniSlots: 2, volumes: 20, jitCards: 'zero-first' }
  const room = async (interfaces: readonly Slot[]) => {
    const inventory = await inventoryOf(instanceOf(interfaces), [typeOf([8, 8], 28)], policy)
    return inventory.capacityOf('i-1', new Set())
  }
  const cni = (deviceIndex: number) => ({ networkCard: 0, deviceIndex })
  const foreignOn = async (interfaces: readonly Slot[]) => (await room(interfaces))?.cards.map(({ foreign }) => foreign)
  assert.deepEqual(
    await foreignOn([primary]),
    [3, 1],
    'the primary one and two to come; index 0 of card 1 is never ours',
  )
  assert.deepEqual(await foreignOn([primary, cni(1)]), [3, 1], 'one of the two is there')
  assert.deepEqual(await foreignOn([primary, cni(1), cni(2), cni(3)]), [4, 1])
  assert.equal((await room([primary]))?.shared, 28 - 20 - 1)
})

test('a terminated instance, of which EC2 tells no VPC, says nothing of where our nodes are', async () => {
  const inventory = await inventoryOf({ ...instanceOf([]), state: 'terminated', vpcID: '' }, [typeOf([4])])
  assert.deepEqual(inventory.vpcIDs(), [])
})
