// Work in lanes: never more at once than there are lanes, all of it done, and nothing begun after a failure.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { atOnce } from '../../sim/fleet/at-once.ts'

test('does all of it, never more at once than there are lanes', async () => {
  const done: number[] = []
  let running = 0
  let most = 0
  await atOnce(3, [0, 1, 2, 3, 4, 5, 6], async (item, index) => {
    assert.equal(item, index)
    most = Math.max(most, ++running)
    await new Promise(setImmediate)
    running--
    done.push(item)
  })
  assert.deepEqual(
    done.toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6],
  )
  assert.equal(most, 3)
})

test('rejects with the first failure, and begins nothing more', async () => {
  const begun: number[] = []
  const work = async (item: number) => {
    begun.push(item)
    await new Promise(setImmediate)
    if (item === 1) throw new Error('no 1')
  }
  await assert.rejects(atOnce(2, [0, 1, 2, 3, 4, 5], work), /no 1/)
  await new Promise(setImmediate)
  assert.ok(!begun.includes(5), `begun: ${begun.join(' ')}`)
})
