// Two programs that want one interface differently.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { LinkCorrections } from '../../src/device-plugin/link-corrections.ts'
import { HandClock } from './hand-clock.ts'

test('the first correction is due at once, each further one later, up to a minute', () => {
  const clock = new HandClock()
  const corrections = new LinkCorrections(clock)
  assert.ok(corrections.isDue('a'))
  assert.ok(corrections.made('a'))
  for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
    clock.now += pauseMs - 1
    assert.ok(!corrections.isDue('a'), `due before ${pauseMs} ms`)
    clock.now += 1
    assert.ok(corrections.isDue('a'), `not due after ${pauseMs} ms`)
    assert.ok(!corrections.made('a'), 'only the first in a row is the first')
  }
  assert.ok(corrections.isDue('b'))
})

test('it begins anew after five quiet minutes, and when a pod has had the interface', () => {
  const clock = new HandClock()
  const corrections = new LinkCorrections(clock)
  corrections.made('a')
  clock.now += 5 * 60_000 + 1
  assert.ok(corrections.made('a'))
  corrections.forget('a')
  assert.ok(corrections.isDue('a'))
  assert.ok(corrections.made('a'))
})
