// The list that the kubelet is told: Unhealthy first, and out only when nobody can have the device any more.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { DeviceLists } from '../../src/device-plugin/device-lists.ts'
import { deviceKey, Occupancy } from '../../src/device-plugin/occupancy.ts'
import { cardAt } from './cards.ts'
import { resource } from './cluster-in-memory.ts'

const address = '0000:00:06.0'
const key = deviceKey(resource, address)
const holder = { namespace: 'core', name: 'upf-0' }
const withdrawnAt = 100

/** A device that was offered and then withdrawn at 100 ms. */
function withdrawn() {
  const told: string[] = []
  const lists = new DeviceLists((name) => told.push(name))
  const occupancy = new Occupancy()
  occupancy.observe({ startedAt: 0, holders: new Map() })
  lists.offer(resource, { attachmentUID: 'uid-a', card: cardAt(address), eni: {} }, 0)
  lists.retain(new Set(), occupancy, undefined, withdrawnAt)
  /** What is left in the list after a look at the kubelet that began at this time. */
  const healthAfter = (startedAt: number, look: { readonly held?: boolean; readonly allocatable?: boolean } = {}) => {
    occupancy.observe({ startedAt, holders: new Map(look.held === true ? [[key, holder]] : []) })
    const view = { startedAt, allocatable: new Set(look.allocatable === true ? [key] : []) }
    lists.retain(new Set(), occupancy, view, startedAt)
    return lists.get(resource, address)?.health
  }
  return { lists, occupancy, told, healthAfter }
}

test('a device that is offered no longer is Unhealthy, and the kubelet is told once', () => {
  const { lists, told } = withdrawn()
  assert.equal(lists.get(resource, address)?.health, 'Unhealthy')
  assert.deepEqual(told, [resource, resource])
})

test('it leaves when a look that began after that shows it with nobody', () => {
  assert.equal(withdrawn().healthAfter(withdrawnAt), undefined)
})

test('it stays while the look is older, the kubelet still has it healthy, or a pod holds it', () => {
  assert.equal(withdrawn().healthAfter(withdrawnAt - 1), 'Unhealthy')
  assert.equal(withdrawn().healthAfter(withdrawnAt, { allocatable: true }), 'Unhealthy')
  assert.equal(withdrawn().healthAfter(withdrawnAt, { held: true }), 'Unhealthy')
})

test('it stays while a hand-out is not settled, although List shows nobody', () => {
  const { occupancy, healthAfter } = withdrawn()
  occupancy.handOut(key, withdrawnAt - 1)
  assert.equal(healthAfter(withdrawnAt + 10), 'Unhealthy')
})

test('it stays while the kubelet does not answer', () => {
  const { lists, occupancy } = withdrawn()
  lists.retain(new Set(), occupancy, undefined, withdrawnAt + 10)
  assert.equal(lists.get(resource, address)?.health, 'Unhealthy')
})
