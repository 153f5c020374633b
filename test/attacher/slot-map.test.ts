// Which card and index a new ENI gets.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { chooseSlot, type Slot } from '../../src/attacher/slot-map.ts'

const cards = fc.uniqueArray(
  fc.record({ index: fc.integer({ min: 0, max: 8 }), maxInterfaces: fc.integer({ min: 1, max: 8 }) }),
  { selector: ({ index }) => index, minLength: 1, maxLength: 4 },
)
const slot = fc.record({
  networkCard: fc.integer({ min: 0, max: 8 }),
  deviceIndex: fc.integer({ min: 0, max: 9 }),
})
const taken = fc.uniqueArray(slot, { selector: keyOf, maxLength: 30 })
const firstIndex = fc.integer({ min: 1, max: 9 })

function keyOf({ networkCard, deviceIndex }: Slot): string {
  return `${networkCard}/${deviceIndex}`
}

const single = [{ index: 0, maxInterfaces: 4 }]
const primary = { networkCard: 0, deviceIndex: 0 }
const onCard0 = (...indexes: number[]) => [primary, ...indexes.map((deviceIndex) => ({ networkCard: 0, deviceIndex }))]

test('the slot is never taken, exists on its card, and is nobody’s index 0', () => {
  fc.assert(
    fc.property(cards, taken, firstIndex, (onInstance, used, first) => {
      const chosen = chooseSlot(onInstance, used, first)
      if (chosen === undefined) return
      const card = onInstance.find(({ index }) => index === chosen.networkCard)
      assert.ok(card)
      assert.ok(chosen.deviceIndex >= 1 && chosen.deviceIndex < card.maxInterfaces)
      assert.ok(!used.map(keyOf).includes(keyOf(chosen)))
      const onCard = used.filter(({ networkCard }) => networkCard === card.index)
      assert.ok(onCard.length < card.maxInterfaces, 'the card is not filled beyond its maximum')
    }),
  )
})

test('a slot is found whenever some card has room and a free index', () => {
  fc.assert(
    fc.property(cards, taken, firstIndex, (onInstance, used, first) => {
      const keys = new Set(used.map(keyOf))
      const hasRoom = onInstance.some(({ index, maxInterfaces }) => {
        const indexes = Array.from({ length: maxInterfaces - 1 }, (_, i) => ({
          networkCard: index,
          deviceIndex: i + 1,
        }))
        const onCard = used.filter(({ networkCard }) => networkCard === index).length
        return onCard < maxInterfaces && indexes.some((candidate) => !keys.has(keyOf(candidate)))
      })
      assert.equal(chooseSlot(onInstance, used, first) !== undefined, hasRoom)
    }),
  )
})

test('filling an instance one by one uses every slot of every card once, card by card', () => {
  fc.assert(
    fc.property(cards, firstIndex, (onInstance, first) => {
      const used: Slot[] = []
      for (let next = chooseSlot(onInstance, used, first); next; next = chooseSlot(onInstance, used, first))
        used.push(next)
      const expected = onInstance.flatMap(({ index, maxInterfaces }) => Array(maxInterfaces - 1).fill(index))
      assert.deepEqual(
        used.map(({ networkCard }) => networkCard),
        expected,
      )
      assert.equal(new Set(used.map(keyOf)).size, used.length)
    }),
  )
})

test('the first index asked for is taken when it is free, else the next free one above, else the lowest', () => {
  assert.deepEqual(chooseSlot(single, onCard0(), 2), { networkCard: 0, deviceIndex: 2 })
  assert.deepEqual(chooseSlot(single, onCard0(2), 2), { networkCard: 0, deviceIndex: 3 })
  assert.deepEqual(chooseSlot(single, onCard0(2, 3), 2), { networkCard: 0, deviceIndex: 1 })
  assert.equal(chooseSlot(single, onCard0(1, 2, 3), 2), undefined)
})

test('an interface at an index beyond the maximum fills the card all the same', () => {
  assert.equal(chooseSlot(single, onCard0(1, 2, 9), 1), undefined)
})

test('an instance whose type is not known has no slot', () => {
  assert.equal(chooseSlot([], [primary], 1), undefined)
})

test('a slot that is told of twice is one slot', () => {
  assert.deepEqual(chooseSlot(single, onCard0(1, 2, 2), 2), { networkCard: 0, deviceIndex: 3 })
})
