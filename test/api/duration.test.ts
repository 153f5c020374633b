// Durations as Kubernetes users write them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { durationMs } from '../../src/api/duration.ts'

test('a Go duration is read in milliseconds', () => {
  const known: [string, number][] = [
    ['0', 0],
    ['0s', 0],
    ['250ms', 250],
    ['5s', 5_000],
    ['10m', 600_000],
    ['1.5h', 5_400_000],
    ['1h30m10s5ms', 5_410_005],
  ]
  for (const [text, ms] of known) assert.equal(durationMs(text), ms, text)
})

test('the parts of a duration add up, in whatever order they stand', () => {
  const part = fc.tuple(fc.nat(1000), fc.constantFrom('ms', 's', 'm', 'h'))
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as Record<string, number>
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const sum = parts.reduce((total, [amount, name]) => total + amount * (unit[name] ?? Number.NaN), 0)
      assert.equal(durationMs(parts.flat().join('')), sum)
    }),
  )
})
