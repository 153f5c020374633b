// How long a loop waits after failures.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { RetryPause } from '../../src/attacher/retry-pause.ts'

const lastMs = 60_000
const never = new AbortController().signal

/** Milliseconds that one pause takes. */
async function pauseMs(clock: VirtualClock, pause: RetryPause): Promise<number> {
  const startedAt = clock.monotonic()
  let endedAt = Number.NaN
  void pause.afterFailure(never).then(() => {
    endedAt = clock.monotonic()
  })
  await clock.advance(2 * lastMs)
  return endedAt - startedAt
}

test('each failure in a row makes the pause longer, up to the last, give or take a quarter; a success begins anew', async () => {
  const clock = new VirtualClock()
  const pause = new RetryPause(clock, lastMs)
  for (const middle of [5_000, 10_000, 20_000, 40_000, lastMs, lastMs]) {
    const ms = await pauseMs(clock, pause)
    assert.ok(ms >= 0.75 * middle && ms <= 1.25 * middle, `${ms} ms where ${middle} is the middle`)
  }
  pause.succeeded()
  assert.ok((await pauseMs(clock, pause)) <= 1.25 * 5_000)
})

test('two loops that fail together do not try again together', async () => {
  const clock = new VirtualClock()
  const pauses = new Set<number>()
  for (let loop = 0; loop < 20; loop++) pauses.add(await pauseMs(clock, new RetryPause(clock, lastMs)))
  assert.ok(pauses.size > 1)
})

test('it is over at once when the news comes, also when it came during the try that failed', async () => {
  const clock = new VirtualClock()
  const pause = new RetryPause(clock, lastMs)
  pause.beginTry()
  pause.end()
  assert.equal(await pauseMs(clock, pause), 0)
  pause.beginTry()
  assert.ok((await pauseMs(clock, pause)) > 0)
})
