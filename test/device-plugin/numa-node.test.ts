// The NUMA node that the kubelet hears of.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { numaNodeOf } from '../../src/device-plugin/numa-node.ts'
import { cardAt } from './cards.ts'

const placed = cardAt('0000:00:06.0', { numaNode: 1 })
const unplaced = cardAt('0000:00:07.0')

test("by default the platform's, and none where it names none: not node 0", () => {
  assert.equal(numaNodeOf(placed, 'auto'), 1)
  assert.equal(numaNodeOf(unplaced, 'auto'), undefined)
})

test('a setting says none, or one for all, as where the platform is silent', () => {
  assert.equal(numaNodeOf(placed, 'none'), undefined)
  assert.equal(numaNodeOf(unplaced, 0), 0)
  assert.equal(numaNodeOf(placed, 0), 0)
})
