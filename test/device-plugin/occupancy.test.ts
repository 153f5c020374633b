// Who has which device: a hand-out counts until the kubelet has shown that it is over.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { deviceKey, doubtMs, Occupancy, unsettledMs } from '../../src/device-plugin/occupancy.ts'
import { resource } from './cluster-in-memory.ts'

const key = deviceKey(resource, '0000:00:06.0')
const holder = { namespace: 'core', name: 'upf-0' }

function lists(occupancy: Occupancy, startedAt: number, held: boolean): void {
  occupancy.observe({ startedAt, holders: new Map(held ? [[key, holder]] : []) })
}

test('nothing is free before the kubelet has said who has what', () => {
  const occupancy = new Occupancy()
  assert.equal(occupancy.isFree(key), false)
  lists(occupancy, 0, false)
  assert.equal(occupancy.isFree(key), true)
})

test('a device is taken from the answer of Allocate on, whatever an earlier List says later', () => {
  const occupancy = new Occupancy()
  lists(occupancy, 0, false)
  occupancy.handOut(key, 100)
  lists(occupancy, 50, false)
  assert.equal(occupancy.isFree(key), false)
})

test('a device is free again when its pod was shown and then is not', () => {
  const occupancy = new Occupancy()
  occupancy.handOut(key, 0)
  lists(occupancy, 10, true)
  assert.deepEqual(occupancy.holderOf(key), holder)
  lists(occupancy, 20, false)
  assert.equal(occupancy.isFree(key), true)
})

test('a device whose pod is never shown is free when an admission cannot be under way any more', () => {
  const occupancy = new Occupancy()
  occupancy.handOut(key, 0)
  lists(occupancy, unsettledMs - 1, false)
  assert.equal(occupancy.isFree(key), false)
  assert.equal(occupancy.isUnsettled, true)
  lists(occupancy, unsettledMs, false)
  assert.equal(occupancy.isFree(key), true)
})

test('an older List that comes later changes nothing', () => {
  const occupancy = new Occupancy()
  lists(occupancy, 20, true)
  lists(occupancy, 10, false)
  assert.deepEqual(occupancy.holderOf(key), holder)
})

test('taking a device back from its last pod does not take back a newer hand-out', () => {
  const occupancy = new Occupancy()
  occupancy.handOut(key, 0)
  lists(occupancy, 10, true)
  occupancy.takeBack(key)
  assert.equal(occupancy.isFree(key), true)
  occupancy.handOut(key, 20)
  lists(occupancy, 15, true)
  occupancy.takeBack(key)
  assert.equal(occupancy.isFree(key), false)
})

test('after a change of the kubelet a pod that is not listed keeps its device, until time has passed', () => {
  const occupancy = new Occupancy()
  lists(occupancy, 0, true)
  occupancy.doubt(100)
  lists(occupancy, 100 + doubtMs - 1, false)
  assert.deepEqual(occupancy.holderOf(key), holder)
  assert.equal(occupancy.isFree(key), false)
  lists(occupancy, 100 + doubtMs, false)
  assert.equal(occupancy.isFree(key), true)
})

test('a pod that the new kubelet has listed once is gone when it is listed no more', () => {
  const occupancy = new Occupancy()
  lists(occupancy, 0, true)
  occupancy.doubt(100)
  lists(occupancy, 110, false)
  lists(occupancy, 120, true)
  lists(occupancy, 130, false)
  assert.equal(occupancy.isFree(key), true)
})

test('what an earlier process has seen counts like that, before the first List and after it', () => {
  const occupancy = new Occupancy()
  occupancy.recall(key, holder, 100)
  assert.deepEqual(occupancy.holderOf(key), holder)
  lists(occupancy, 110, false)
  assert.deepEqual(occupancy.holderOf(key), holder)
  lists(occupancy, 100 + doubtMs, false)
  assert.equal(occupancy.holderOf(key), undefined)
})

test('a pod that a new kubelet lists without any device keeps the one it had, until it is gone', () => {
  const occupancy = new Occupancy()
  lists(occupancy, 0, true)
  occupancy.doubt(100)
  const bare = new Set(['core/upf-0'])
  for (const startedAt of [110, 100 + doubtMs, 100 + 2 * doubtMs]) {
    occupancy.observe({ startedAt, holders: new Map(), bare })
    assert.ok(occupancy.isForgotten(key))
    assert.equal(occupancy.isFree(key), false)
    assert.deepEqual(occupancy.holderOf(key), holder)
  }
  lists(occupancy, 101 + 2 * doubtMs, false)
  assert.equal(occupancy.isForgotten(key), false)
  assert.equal(occupancy.isFree(key), true)
})

test('a pod that loses its device under one and the same kubelet has it no more', () => {
  const occupancy = new Occupancy()
  lists(occupancy, 0, true)
  occupancy.observe({ startedAt: 10, holders: new Map(), bare: new Set(['core/upf-0']) })
  assert.equal(occupancy.isForgotten(key), false)
  assert.equal(occupancy.isFree(key), true)
})

test('a hand-out that no List has shown is not settled by the first Lists of a new kubelet', () => {
  const occupancy = new Occupancy()
  occupancy.handOut(key, 0)
  occupancy.doubt(unsettledMs - 1)
  lists(occupancy, unsettledMs, false)
  assert.equal(occupancy.isFree(key), false)
  lists(occupancy, unsettledMs - 1 + doubtMs, false)
  assert.equal(occupancy.isFree(key), true)
})

test('a device is known by its address under every resource, with whoever has or may have it', () => {
  const occupancy = new Occupancy()
  const other = deviceKey('intel.com/other', '0000:00:06.0')
  assert.deepEqual(occupancy.resourcesHolding('0000:00:06.0'), [])
  occupancy.handOut(other, 0)
  lists(occupancy, 10, true)
  occupancy.recall(deviceKey(resource, '0000:00:07.0'), holder, 10)
  assert.deepEqual(occupancy.resourcesHolding('0000:00:06.0').toSorted(), ['intel.com/other', resource])
  assert.deepEqual(occupancy.resourcesHolding('0000:00:07.0'), [resource])
  assert.deepEqual(occupancy.resourcesHolding('0000:00:16.0'), [])
})
