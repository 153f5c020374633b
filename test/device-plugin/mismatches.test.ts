// Disagreements between the kubelet, the claims and our lists: each is counted once, when it has lasted.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { pino } from 'pino'

import { DeviceLists } from '../../src/device-plugin/device-lists.ts'
import { Mismatches } from '../../src/device-plugin/mismatches.ts'
import { NodeEvents } from '../../src/device-plugin/node-events.ts'
import { deviceKey, type Holder, Occupancy, unsettledMs } from '../../src/device-plugin/occupancy.ts'
import { cardAt } from './cards.ts'
import { resource } from './cluster-in-memory.ts'

const address = '0000:00:06.0'
const key = deviceKey(resource, address)
const holder: Holder = { namespace: 'core', name: 'upf-0' }
const ours = new Set([resource])

function rig(holders: ReadonlyMap<string, Holder>) {
  const lists = new DeviceLists(() => undefined)
  const kinds: string[] = []
  const messages: string[] = []
  const events = new NodeEvents({ record: (_on, _type, reason) => void messages.push(reason) }, 'node-a')
  const log = pino({ level: 'silent' })
  const mismatches = new Mismatches({
    lists,
    occupancy: { holders },
    events,
    log,
    onMismatch: (kind) => kinds.push(kind),
  })
  return { lists, mismatches, kinds, messages }
}

test('a pod that holds what is not in our list is told once, when the list has had its time to fill after a start', () => {
  const { mismatches, kinds, messages } = rig(new Map([[key, holder]]))
  mismatches.look([], ours, 0)
  mismatches.look([], ours, 14_999)
  assert.deepEqual(kinds, [])
  for (const now of [15_000, 16_000, 100_000]) mismatches.look([], ours, now)
  assert.deepEqual(kinds, ['held_not_listed'])
  assert.deepEqual(messages, ['UnlistedDeviceHeld'])
})

test('it is nothing when the device comes into the list in time, or is of a resource of others', () => {
  const { lists, mismatches, kinds } = rig(
    new Map([
      [key, holder],
      [deviceKey('nvidia.com/gpu', 'gpu-0'), holder],
    ]),
  )
  mismatches.look([], ours, 0)
  lists.offer(resource, { attachmentUID: 'uid-a', card: cardAt(address), eni: {} }, 0)
  for (const now of [15_000, 16_000]) mismatches.look([], ours, now)
  assert.deepEqual(kinds, [])
})

test('a hand-out that no list has ever shown with a pod is told when it counts as free again; one that was shown is not', () => {
  const never: string[] = []
  const occupancy = new Occupancy((lost) => never.push(lost))
  occupancy.handOut(key, 0)
  occupancy.observe({ startedAt: unsettledMs - 1, holders: new Map() })
  assert.deepEqual(never, [])
  occupancy.observe({ startedAt: unsettledMs, holders: new Map() })
  assert.deepEqual(never, [key])
  occupancy.handOut(key, unsettledMs)
  occupancy.observe({ startedAt: unsettledMs + 1, holders: new Map([[key, holder]]) })
  occupancy.observe({ startedAt: 10 * unsettledMs, holders: new Map() })
  assert.deepEqual(never, [key])
})
