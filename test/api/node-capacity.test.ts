// The node annotation that tells the extender how many ENIs of ours a node can hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { parseNodeCapacity, slotsFor } from '../../src/api/node-capacity.ts'

const instanceID = 'i-1'

test('the annotation is read as the attacher writes it', () => {
  const capacity = { instanceID, cards: [{ index: 0, limit: 4, foreign: 1 }], shared: 20 }
  assert.deepEqual(parseNodeCapacity(JSON.stringify(capacity)), capacity)
})

test('an annotation that is absent or damaged is no capacity, not an error', () => {
  const damaged = [
    '',
    'x',
    'null',
    '[]',
    '{"cards":[]}',
    '{"instanceID":"i-1","cards":[{"index":0,"limit":-1,"foreign":0}]}',
  ]
  for (const text of [undefined, ...damaged]) assert.equal(parseNodeCapacity(text), undefined, text)
})

test('slots are what the cards allow beyond the ENIs of others', () => {
  const cards = [
    { index: 0, limit: 4, foreign: 3 },
    { index: 1, limit: 4, foreign: 0 },
  ]
  assert.equal(slotsFor({ instanceID, cards }), 5)
})

test('a card with more foreign ENIs than its limit takes nothing from other cards', () => {
  const cards = [
    { index: 0, limit: 2, foreign: 5 },
    { index: 1, limit: 2, foreign: 0 },
  ]
  assert.equal(slotsFor({ instanceID, cards }), 2)
})

test('a budget shared with volumes caps the slots, and a spent one leaves none', () => {
  const cards = [{ index: 0, limit: 8, foreign: 1 }]
  assert.equal(slotsFor({ instanceID, cards, shared: 3 }), 3)
  assert.equal(slotsFor({ instanceID, cards, shared: 30 }), 7)
  assert.equal(slotsFor({ instanceID, cards, shared: -2 }), 0)
})
