// What Allocate refuses, from what is known at that moment.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { pino } from 'pino'

import { AllocateGate } from '../../src/device-plugin/allocate-gate.ts'
import { Allocator } from '../../src/device-plugin/allocator.ts'
import { DeviceLists } from '../../src/device-plugin/device-lists.ts'
import { deviceKey, Occupancy } from '../../src/device-plugin/occupancy.ts'
import type { PciCard } from '../../src/device-plugin/pci-scan.ts'
import type { Holding } from '../../src/device-plugin/pod-resources.ts'
import { cardAt } from './cards.ts'
import { resource } from './cluster-in-memory.ts'
import { HandClock } from './hand-clock.ts'

const address = '0000:00:06.0'
const none: ReadonlySet<string> = new Set()
const bound = { driver: 'vfio-pci', iommuGroup: { number: '3', noIommu: false } }

function rig(card: Partial<PciCard> = bound, isDescribed = () => true, holding: Holding = 'device') {
  const lists = new DeviceLists(() => undefined)
  const occupancy = new Occupancy()
  const clock = new HandClock()
  const allocator = new Allocator({
    lists,
    occupancy,
    podResources: {
      holders: () => Promise.resolve({ holders: new Map() }),
      allocatable: () => Promise.resolve(new Set()),
      holds: () => Promise.resolve(holding),
      close: () => undefined,
    },
    gate: new AllocateGate(clock),
    clock,
    injection: { by: 'cdi', dev: '/dev' },
    files: { isDescribed, handOver: async () => undefined },
    log: pino({ level: 'silent' }),
    onAnswer: () => undefined,
  })
  lists.offer(resource, { attachmentUID: 'uid-a', card: cardAt(address, card), eni: {} }, 0)
  occupancy.observe({ startedAt: 0, holders: new Map() })
  const allocate = async (...ids: readonly string[]) => {
    const result = await allocator.allocate(resource, { containerRequests: [{ devicesIds: [...ids] }] })
    return result.kind === 'granted' ? 'granted' : result.reason
  }
  return { lists, occupancy, allocate }
}

test('a device that is listed and free is granted, and then no more', async () => {
  const { allocate } = rig()
  assert.equal(await allocate(address), 'granted')
  assert.match(await allocate(address), /was handed out and is not known to be free again/)
})

test('a device that is being released is granted; one whose card is bad is not', async () => {
  const released = rig()
  released.lists.retain(none, new Set([deviceKey(resource, address)]), released.occupancy, undefined, 1)
  assert.equal(await released.allocate(address), 'granted')
  const bad = rig()
  bad.lists.retain(none, none, bad.occupancy, undefined, 1)
  assert.match(await bad.allocate(address), /is unhealthy/)
})

test('a pod that is there without any device has let go of its own, but not when the kubelet is another since', async () => {
  const holders = new Map([[deviceKey(resource, address), { namespace: 'core', name: 'upf-0' }]])
  const same = rig(bound, () => true, 'bare')
  same.occupancy.observe({ startedAt: 1, holders })
  assert.equal(await same.allocate(address), 'granted')
  const another = rig(bound, () => true, 'bare')
  another.occupancy.observe({ startedAt: 1, holders })
  another.occupancy.doubt(2)
  assert.match(await another.allocate(address), /is held by pod core\/upf-0/)
})

test('a card without a device node is not granted: the pod would run without its device', async () => {
  assert.match(await rig({ driver: 'vfio-pci' }).allocate(address), /has no device node of vfio-pci/)
  assert.match(await rig({ driver: 'igb_uio' }).allocate(address), /has no device node of igb_uio/)
  assert.equal(await rig({ driver: 'igb_uio', uio: 'uio0' }).allocate(address), 'granted')
})

test('a device whose CDI spec is not as its card is is not granted: the pod would get the node of another card', async () => {
  assert.match(await rig(bound, () => false).allocate(address), /CDI spec of .* is not as its card is/)
})

test('a device that another pod holds is refused', async () => {
  const held = rig()
  const holder = { namespace: 'core', name: 'upf-0' }
  held.occupancy.observe({ startedAt: 1, holders: new Map([[deviceKey(resource, address), holder]]) })
  assert.match(await held.allocate(address), /is held by pod core\/upf-0/)
})

test('one device twice in a request, and a device that is not ours, are refused', async () => {
  const { allocate } = rig()
  assert.match(await allocate(address, address), /asked for twice/)
  assert.match(await allocate('0000:00:07.0'), /is not a device of this plugin/)
})
