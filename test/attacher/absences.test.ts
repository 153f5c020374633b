import assert from 'node:assert/strict'
import { test } from 'node:test'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { Absences } from '../../src/attacher/absences.ts'

const shown = {}

test('gone is what was not shown for a minute, however often it was asked for', async () => {
  const clock = new VirtualClock()
  const absences = new Absences(clock)
  assert.equal(absences.isGone('eni-1', undefined), false)
  await clock.advance(59_000)
  assert.equal(absences.isGone('eni-1', undefined), false)
  assert.equal(absences.isGone('eni-2', undefined), false)
  await clock.advance(1_000)
  assert.equal(absences.isGone('eni-1', undefined), true)
  assert.equal(absences.isGone('eni-2', undefined), false)
})

test('what was shown between two answers without it is not gone', async () => {
  const clock = new VirtualClock()
  const absences = new Absences(clock)
  absences.isGone('eni-1', undefined)
  await clock.advance(30_000)
  assert.equal(absences.isGone('eni-1', shown), false)
  await clock.advance(30_000)
  assert.equal(absences.isGone('eni-1', undefined), false)
})

test('a wrong answer of long ago counts no more', async () => {
  const clock = new VirtualClock()
  const absences = new Absences(clock)
  absences.isGone('eni-1', undefined)
  await clock.advance(60 * 60_000)
  assert.equal(absences.isGone('eni-1', undefined), false)
})
