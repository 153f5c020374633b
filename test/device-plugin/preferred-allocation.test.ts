// The devices that the kubelet is advised to take.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { type PreferableDevice, preferredAllocation } from '../../src/device-plugin/preferred-allocation.ts'

/** "a0*": device a on node 0, claimed; "b-": device b, no node. */
function known(...texts: readonly string[]): ReadonlyMap<string, PreferableDevice> {
  return new Map(
    texts.map((text) => {
      const [, id = '', node = '', star] = /^([a-z]+)(-|\d)(\*?)$/.exec(text) ?? []
      return [id, { id, isClaimed: star === '*', numaNode: node === '-' ? undefined : Number(node) }]
    }),
  )
}

function preferred(devices: ReadonlyMap<string, PreferableDevice>, size: number, mustInclude: readonly string[] = []) {
  return preferredAllocation({ available: [...devices.keys()], mustInclude, size }, devices).join('')
}

test('claimed devices come first, so that idle ones stay idle', () => {
  assert.equal(preferred(known('a0', 'b0', 'c0*'), 1), 'c')
  assert.equal(preferred(known('a0', 'b1', 'c1*'), 2), 'cb')
})

test('as few NUMA nodes as possible, and no large group broken where a small one is enough', () => {
  assert.equal(preferred(known('a0', 'b1', 'c1', 'd2', 'e2', 'f2'), 2), 'bc')
  assert.equal(preferred(known('a0', 'b1', 'c1', 'd2', 'e2', 'f2'), 3), 'def')
})

test('the node of what must be included first', () => {
  assert.equal(preferred(known('a0', 'b0', 'c1', 'd1', 'e1'), 2, ['b']), 'ba')
  assert.equal(preferred(known('a0', 'b0*', 'c1', 'd1*'), 2, ['c']), 'cd')
})

test('devices without a node, and devices that nobody knows, are as good as others', () => {
  assert.equal(preferred(known('a-', 'b-'), 2), 'ab')
  assert.deepEqual(preferredAllocation({ available: ['y', 'x'], mustInclude: [], size: 1 }, new Map()), ['x'])
})

const device = fc.record({
  id: fc.string({ minLength: 1, maxLength: 12 }),
  isClaimed: fc.boolean(),
  numaNode: fc.option(fc.nat(3), { nil: undefined }),
})
const wish = fc
  .uniqueArray(device, { selector: ({ id }) => id, minLength: 1, maxLength: 10 })
  .chain((devices) => fc.record({ devices: fc.constant(devices), size: fc.integer({ min: 1, max: devices.length }) }))
  .chain(({ devices, size }) =>
    fc.record({
      devices: fc.constant(devices),
      size: fc.constant(size),
      mustInclude: fc.subarray(
        devices.map(({ id }) => id),
        { maxLength: size },
      ),
      unknown: fc.subarray(devices.map(({ id }) => id)),
    }),
  )

test('always exactly as many as asked for, each once, all of them available, and all that must be', () => {
  fc.assert(
    fc.property(wish, ({ devices, size, mustInclude, unknown }) => {
      const available = devices.map(({ id }) => id)
      const facts = new Map(devices.filter(({ id }) => !unknown.includes(id)).map((each) => [each.id, each]))
      const chosen = preferredAllocation({ available, mustInclude, size }, facts)
      assert.equal(chosen.length, size)
      assert.equal(new Set(chosen).size, size)
      assert.ok(chosen.every((id) => available.includes(id)))
      assert.ok(mustInclude.every((id) => chosen.includes(id)))
    }),
  )
})

test('no choice of the same size has fewer NUMA nodes, where nothing is claimed; and none has more claimed devices', () => {
  fc.assert(
    fc.property(wish, ({ devices, size, mustInclude }) => {
      const plain = new Map(devices.map((each) => [each.id, { ...each, isClaimed: false }]))
      const available = [...plain.keys()]
      const nodesOf = (ids: readonly string[]) => new Set(ids.map((id) => plain.get(id)?.numaNode)).size
      const choices = subsets(available, size).filter((ids) => mustInclude.every((id) => ids.includes(id)))
      const fewest = Math.min(...choices.map(nodesOf))
      assert.equal(nodesOf(preferredAllocation({ available, mustInclude, size }, plain)), fewest)

      const claimed = new Set(devices.filter(({ isClaimed }) => isClaimed).map(({ id }) => id))
      const claimedIn = (ids: readonly string[]) => ids.filter((id) => claimed.has(id)).length
      const facts = new Map(devices.map((each) => [each.id, each]))
      const most = Math.max(...choices.map(claimedIn))
      assert.equal(claimedIn(preferredAllocation({ available, mustInclude, size }, facts)), most)
    }),
  )
})

function subsets(ids: readonly string[], size: number): readonly (readonly string[])[] {
  if (size === 0) return [[]]
  return ids.flatMap((id, index) => subsets(ids.slice(index + 1), size - 1).map((rest) => [id, ...rest]))
}
