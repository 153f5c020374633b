// Virtual time: in what order things happen, and when the clock waits for them.
import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'node:test'

import type { Clock as SimulationClock } from '../../sim/ec2/state/clock.ts'
import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { type Clock, sleep, timestamp } from '../../src/process/clock.ts'

const hourMs = 3_600_000

test('it serves the programs and the simulated EC2, and starts where it is told', () => {
  const forPrograms: Clock = new VirtualClock({ startMs: Date.UTC(2030, 5, 1) })
  const forEc2: SimulationClock = new VirtualClock()
  assert.equal(timestamp(forPrograms), '2030-06-01T00:00:00.000Z')
  assert.equal(forEc2.now(), Date.UTC(2026, 0, 1))
})

test('timers run in the order of their time, those of one instant in the order in which they were asked for', async () => {
  const clock = new VirtualClock()
  const ran: string[] = []
  const note = (name: string) => () => void ran.push(`${name}@${clock.monotonic()}`)
  clock.after(300, note('late'))
  clock.after(100, note('first'))
  clock.after(100, note('second'))
  clock.after(-5, note('overdue'))
  await clock.advance(299)
  assert.deepEqual(ran, ['overdue@0', 'first@100', 'second@100'])
  await clock.advance(1)
  assert.equal(ran.at(-1), 'late@300')
})

test('the same program runs the same way twice', async () => {
  const run = async () => {
    const clock = new VirtualClock()
    const ran: string[] = []
    const worker = async (name: string, periodMs: number) => {
      while (clock.monotonic() < 1000) {
        await sleep(clock, periodMs, new AbortController().signal)
        ran.push(`${name}@${clock.monotonic()}`)
      }
    }
    const workers = [worker('a', 30), worker('b', 20), worker('c', 30)]
    await clock.advance(1100)
    await Promise.all(workers)
    return ran
  }
  const first = await run()
  assert.deepEqual(await run(), first)
  assert.deepEqual(first.slice(0, 6), ['b@20', 'a@30', 'c@30', 'b@40', 'a@60', 'c@60'])
})

test('a cancelled timer never runs, also when its own instant is running', async () => {
  const clock = new VirtualClock()
  const ran: string[] = []
  clock.after(10, () => cancel())
  const cancel = clock.after(10, () => ran.push('cancelled'))
  clock.after(10, () => ran.push('kept'))
  clock.after(20, () => ran.push('late'))()
  await clock.advance(50)
  assert.deepEqual(ran, ['kept'])
  cancel()
})

test('each instant comes to rest before the next: a wait that starts in it counts from it', async () => {
  const clock = new VirtualClock()
  const woken: number[] = []
  const running = (async () => {
    for (const ms of [100, 50, 0, 25]) {
      await sleep(clock, ms, new AbortController().signal)
      await nextTurn()
      woken.push(clock.monotonic())
    }
  })()
  await clock.advance(1000)
  await running
  assert.deepEqual(woken, [100, 150, 150, 175])
})

test('what was asked for in an instant for the same instant runs after the others of it have come to rest', async () => {
  const clock = new VirtualClock()
  const ran: string[] = []
  clock.after(10, () => {
    clock.after(0, () => ran.push('next round'))
    void Promise.resolve().then(() => ran.push('promise'))
  })
  clock.after(10, () => ran.push('same instant'))
  await clock.advance(10)
  assert.deepEqual(ran, ['same instant', 'promise', 'next round'])
})

test('while somebody holds the clock, real work may take as many turns as it likes', async () => {
  const clock = new VirtualClock()
  const seen: number[] = []
  const work = async () => {
    const release = clock.hold()
    for (let turn = 0; turn < 50; turn++) await nextTurn()
    seen.push(clock.monotonic())
    release()
    release()
  }
  for (const ms of [10, 20]) clock.after(ms, () => void work())
  for (const ms of [11, 21]) clock.after(ms, () => seen.push(clock.monotonic()))
  await clock.advance(30)
  assert.deepEqual(seen, [10, 11, 20, 21])
})

test('until goes from timer to timer and stops at the instant in which it is done', async () => {
  const clock = new VirtualClock()
  let count = 0
  const tick = () => clock.after(hourMs, () => (count++, tick()))
  tick()
  await clock.until(() => count === 36, 48 * hourMs)
  assert.equal(clock.monotonic(), 36 * hourMs)
  await clock.until(() => true, 0)
  assert.equal(clock.monotonic(), 36 * hourMs)
})

test('until says how much time passed when there is nothing left to wait for, or too much', async () => {
  const clock = new VirtualClock()
  clock.after(70, () => undefined)
  await assert.rejects(
    clock.until(() => false, 1000),
    /not done after 70 ms: no timer is left/,
  )
  const tick = () => clock.after(30, tick)
  tick()
  await assert.rejects(
    clock.until(() => false, 100),
    /not done after 100 ms: 1 timers are left/,
  )
  assert.equal(clock.monotonic(), 170)
})

test('a loop that waits for 0 ms is an error and not a hang, and so is moving the clock twice at once', async () => {
  const clock = new VirtualClock()
  const spin = () => clock.after(0, spin)
  spin()
  await assert.rejects(clock.advance(1), /timers of 0 ms without end at 0 ms/)
  const other = new VirtualClock()
  const moving = other.advance(10)
  await assert.rejects(other.advance(10), /moved already/)
  await moving
})
