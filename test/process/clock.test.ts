// The real clock: what a plain timer would get wrong.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { realClock } from '../../src/process/clock.ts'

test('a wait of months does not end at once, as it would with setTimeout', (t) => {
  const waits: unknown[] = []
  t.mock.method(globalThis, 'setTimeout', (_callback: () => void, ms: number) => waits.push(ms))
  realClock.after(365 * 24 * 3_600_000, () => undefined)
  assert.deepEqual(waits, [2 ** 31 - 1])
})
