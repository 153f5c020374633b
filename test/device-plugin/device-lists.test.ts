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
/** By then every Allocate has come for which the kubelet had chosen before it heard. */
const goneAt = withdrawnAt + 50
const none: ReadonlySet<string> = new Set()

/** A device that was offered and then taken back at 100 ms. */
function withdrawn({ released = false } = {}) {
  const told: string[] = []
  const lists = new DeviceLists((name) => told.push(name))
  const occupancy = new Occupancy()
  occupancy.observe({ startedAt: 0, holders: new Map() })
  lists.offer(resource, { attachmentUID: 'uid-a', card: cardAt(address), eni: {} }, 0)
  lists.retain(none, new Set(released ? [key] : []), occupancy, undefined, withdrawnAt)
  /** What is left in the list after a look at the kubelet that began at this time. */
  const healthAfter = (startedAt: number, look: { readonly held?: boolean; readonly allocatable?: boolean } = {}) => {
    occupancy.observe({ startedAt, holders: new Map(look.held === true ? [[key, holder]] : []) })
    const view = { startedAt, allocatable: new Set(look.allocatable === true ? [key] : []) }
    lists.retain(none, none, occupancy, view, startedAt)
    return lists.get(resource, address)?.health
  }
  return { lists, occupancy, told, healthAfter }
}

test('a device that is offered no longer is Unhealthy, and the kubelet is told once', () => {
  const { lists, told } = withdrawn()
  assert.equal(lists.get(resource, address)?.health, 'Unhealthy')
  assert.deepEqual(told, [resource, resource])
})

test('it leaves when a look that began long enough after that shows it with nobody', () => {
  assert.equal(withdrawn().healthAfter(goneAt), undefined)
})

test('it stays while the look is older, the kubelet still has it healthy, or a pod holds it', () => {
  assert.equal(withdrawn().healthAfter(goneAt - 1), 'Unhealthy')
  assert.equal(withdrawn().healthAfter(goneAt, { allocatable: true }), 'Unhealthy')
  assert.equal(withdrawn().healthAfter(goneAt, { held: true }), 'Unhealthy')
})

test('it stays while a hand-out is not settled, although List shows nobody', () => {
  const { occupancy, healthAfter } = withdrawn()
  occupancy.handOut(key, withdrawnAt - 1)
  assert.equal(healthAfter(goneAt), 'Unhealthy')
})

test('it stays while the kubelet does not answer', () => {
  const { lists, occupancy } = withdrawn()
  lists.retain(none, none, occupancy, undefined, goneAt)
  assert.equal(lists.get(resource, address)?.health, 'Unhealthy')
})

test('a device that is being released may still be granted, one whose card is no longer good may not', () => {
  assert.equal(withdrawn({ released: true }).lists.get(resource, address)?.grantable, true)
  assert.equal(withdrawn().lists.get(resource, address)?.grantable, false)
})

test('a device that is being released is granted no longer when its card goes bad meanwhile', () => {
  const { lists, occupancy, told } = withdrawn({ released: true })
  lists.retain(none, none, occupancy, undefined, goneAt)
  assert.equal(lists.get(resource, address)?.grantable, false)
  assert.equal(told.length, 2)
})
