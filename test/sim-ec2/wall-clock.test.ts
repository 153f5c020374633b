// Real time for a simulation that serves processes: what is cancelled or stopped never happens.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { WallClock } from '../../sim/ec2/wall-clock.ts'

test('what is cancelled never happens, and after a stop nothing does', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const clock = new WallClock()
  const happened: string[] = []
  clock.after(10, () => happened.push('cancelled'))()
  clock.after(10, () => happened.push('in time'))
  clock.after(30, () => happened.push('stopped'))
  t.mock.timers.tick(20)
  clock.stop()
  t.mock.timers.tick(20)
  assert.deepEqual(happened, ['in time'])
})
