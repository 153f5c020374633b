// Work on a card: one piece at a time, again after a failure, never while a write to sysfs does not return.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { pino } from 'pino'

import { CardWork, type WorkOutcome } from '../../src/device-plugin/card-work.ts'
import type { StepFailure } from '../../src/device-plugin/step.ts'
import { HandClock } from './hand-clock.ts'

const failure: StepFailure = { reason: 'BindFailed', message: 'refused', terminal: false }
const failed: WorkOutcome = { kind: 'failed', failure }
const uid = 'uid-a'

function rig() {
  const clock = new HandClock()
  let changes = 0
  const work = new CardWork(clock, pino({ level: 'silent' }), () => changes++)
  const end = async (outcome: WorkOutcome | Error) => {
    work.start(uid, {}, () => (outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome)))
    assert.deepEqual(work.stateOf(uid), { kind: 'running' })
    await work.settled()
  }
  return { clock, work, end, changes: () => changes }
}

test('work that went well leaves nothing behind, and the loop hears of its end', async () => {
  const { work, end, changes } = rig()
  await end({ kind: 'done' })
  assert.deepEqual(work.stateOf(uid), { kind: 'none' })
  assert.equal(changes(), 1)
})

test('after each failure the next try waits twice as long, at most a minute', async () => {
  const { clock, work, end } = rig()
  const waits: number[] = []
  for (let tries = 0; tries < 9; tries++) {
    const from = clock.now
    await end(failed)
    assert.deepEqual(work.stateOf(uid), { kind: 'backing-off', failure })
    while (work.stateOf(uid).kind !== 'none') clock.now += 500
    waits.push(clock.now - from)
  }
  assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
})

test('a success starts the waits anew', async () => {
  const { clock, work, end } = rig()
  await end(failed)
  await end({ kind: 'done' })
  const from = clock.now
  await end(failed)
  clock.now = from + 500
  assert.deepEqual(work.stateOf(uid), { kind: 'none' })
})

test('what throws backs off too, with nothing to tell the user', async () => {
  const { work, end } = rig()
  await end(new Error('a bug'))
  assert.deepEqual(work.stateOf(uid), { kind: 'backing-off', failure: undefined })
})

test('a stuck card stays in quarantine until the write has ended, also when its attachment is gone', async () => {
  const { work, end, changes } = rig()
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  const stuck: StepFailure = { ...failure, reason: 'SysfsStuck' }
  await end({ kind: 'stuck', failure: stuck, ended })
  work.retain(new Set())
  assert.deepEqual(work.stateOf(uid), { kind: 'stuck', failure: stuck })
  resolve()
  await ended
  await Promise.resolve()
  assert.deepEqual(work.stateOf(uid), { kind: 'none' })
  assert.equal(changes(), 2)
})
