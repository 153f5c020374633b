// Who has which device: a hand-out counts until the kubelet has shown that it is over.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { deviceKey, Occupancy, unsettledMs } from '../../src/device-plugin/occupancy.ts'
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
