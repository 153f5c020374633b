// Statuses on their way to the API server: the newest only, one at a time, not more than needed.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { pino } from 'pino'

import type { DeviceStatus } from '../../src/api/eni-attachment.ts'
import { StatusWriter } from '../../src/device-plugin/status-writer.ts'
import { attachmentOf } from './cards.ts'
import { HandClock } from './hand-clock.ts'

const attachment = attachmentOf()
const settled = { passing: false }
const passing = { passing: true }
const withDriver = (driver: string): DeviceStatus => ({ driver })

/** Each write waits for the test to answer it. */
function rig() {
  const clock = new HandClock()
  const writes: { readonly driver: string | undefined; readonly answer: (failure?: Error) => Promise<void> }[] = []
  const writer = new StatusWriter(
    {
      writeStatus: (_attachment, { driver }) => {
        const { promise, resolve, reject } = Promise.withResolvers<void>()
        const answer = async (failure?: Error) => {
          if (failure === undefined) resolve()
          else reject(failure)
          // What the writer does with the answer comes in the turns after it.
          await promise.catch(() => undefined)
          await Promise.resolve()
        }
        writes.push({ driver, answer })
        return promise
      },
      endFinalizer: () => Promise.resolve(),
    },
    clock,
    pino({ level: 'silent' }),
  )
  return { clock, writer, writes, drivers: () => writes.map(({ driver }) => driver) }
}

test('a status that is to stay is written at once, and not again while it is the same', async () => {
  const { writer, writes, drivers } = rig()
  writer.want(attachment, withDriver('ena'), settled)
  await writes[0]?.answer()
  writer.want(attachment, withDriver('ena'), settled)
  assert.deepEqual(drivers(), ['ena'])
})

test('a status that passes is held back for half a second, and is never written when another follows', () => {
  const { clock, writer, drivers } = rig()
  writer.want(attachment, withDriver('ena'), passing)
  clock.now = 499
  writer.want(attachment, withDriver('ena'), passing)
  assert.deepEqual(drivers(), [])
  writer.want(attachment, withDriver('vfio-pci'), settled)
  assert.deepEqual(drivers(), ['vfio-pci'])
})

test('a step that hangs is shown after that time', () => {
  const { clock, writer, drivers } = rig()
  writer.want(attachment, withDriver('ena'), passing)
  clock.now = 500
  writer.want(attachment, withDriver('ena'), passing)
  assert.deepEqual(drivers(), ['ena'])
})

test('one write at a time: while it is open only the newest status is kept, and follows', async () => {
  const { writer, writes, drivers } = rig()
  writer.want(attachment, withDriver('one'), settled)
  writer.want(attachment, withDriver('two'), settled)
  writer.want(attachment, withDriver('three'), settled)
  assert.deepEqual(drivers(), ['one'])
  assert.equal(writer.lastOf(attachment)?.driver, 'three')
  await writes[0]?.answer()
  assert.deepEqual(drivers(), ['one', 'three'])
})

test('a write that failed is tried again after a time that doubles, and with the newest status', async () => {
  const { clock, writer, writes, drivers } = rig()
  writer.want(attachment, withDriver('one'), settled)
  await writes[0]?.answer(new Error('no answer'))
  clock.now = 249
  writer.want(attachment, withDriver('two'), settled)
  assert.deepEqual(drivers(), ['one'])
  clock.now = 250
  writer.want(attachment, withDriver('two'), settled)
  await writes[1]?.answer(new Error('no answer'))
  clock.now = 749
  writer.want(attachment, withDriver('two'), settled)
  assert.deepEqual(drivers(), ['one', 'two'])
  clock.now = 750
  writer.want(attachment, withDriver('two'), settled)
  assert.deepEqual(drivers(), ['one', 'two', 'two'])
})

test('an attachment that is gone is forgotten: one that comes again starts from what the object has', () => {
  const { writer } = rig()
  writer.want(attachment, withDriver('one'), passing)
  writer.retain(new Set())
  assert.equal(writer.lastOf(attachment), undefined)
})

const shows = (driver: string | undefined) => attachmentOf(driver === undefined ? {} : { device: withDriver(driver) })

test('a status that somebody else has changed is written again', async () => {
  const { writer, writes, drivers } = rig()
  writer.want(shows('ena'), withDriver('vfio-pci'), settled)
  await writes[0]?.answer()
  writer.want(shows('vfio-pci'), withDriver('vfio-pci'), settled)
  writer.want(shows('forged'), withDriver('vfio-pci'), settled)
  assert.deepEqual(drivers(), ['vfio-pci', 'vfio-pci'])
})

test('a watch that is behind our own writes is no other writer', async () => {
  const { clock, writer, writes, drivers } = rig()
  writer.want(shows(undefined), withDriver('one'), settled)
  await writes[0]?.answer()
  writer.want(shows(undefined), withDriver('two'), settled)
  await writes[1]?.answer()
  writer.want(shows(undefined), withDriver('two'), settled)
  writer.want(shows('one'), withDriver('two'), settled)
  clock.now = 29_999
  writer.want(shows('one'), withDriver('two'), settled)
  writer.want(shows('two'), withDriver('two'), settled)
  assert.deepEqual(drivers(), ['one', 'two'])
})

test('a write that the watch never shows was undone before the watch came to it, and is made again', async () => {
  const { clock, writer, writes, drivers } = rig()
  const undone = shows('ena')
  writer.want(undone, withDriver('vfio-pci'), settled)
  await writes[0]?.answer()
  clock.now = 30_000
  writer.want(undone, withDriver('vfio-pci'), settled)
  assert.deepEqual(drivers(), ['vfio-pci', 'vfio-pci'])
})

test('while it waits to repair a status, a new one is written at once', async () => {
  const { writer, writes, drivers } = rig()
  for (const nth of [0, 1]) {
    writer.want(shows('forged'), withDriver('one'), settled)
    await writes[nth]?.answer()
    writer.want(shows('one'), withDriver('one'), settled)
  }
  writer.want(shows('forged'), withDriver('one'), settled)
  assert.deepEqual(drivers(), ['one', 'one'])
  writer.want(shows('forged'), withDriver('two'), settled)
  assert.deepEqual(drivers(), ['one', 'one', 'two'])
})

test('against a writer that does not give in it writes ever more seldom, once a minute in the end', async () => {
  const { clock, writer, writes } = rig()
  const hourMs = 3_600_000
  writer.want(shows(undefined), withDriver('ours'), settled)
  const times: number[] = []
  for (; clock.now < hourMs; clock.now += 100) {
    if (writes.length > times.length) {
      times.push(clock.now)
      await writes.at(-1)?.answer()
      writer.want(shows('ours'), withDriver('ours'), settled)
      writer.want(shows('theirs'), withDriver('ours'), settled)
    }
    writer.want(shows('theirs'), withDriver('ours'), settled)
  }
  const [firstMs, secondMs, thirdMs] = times.slice(1).map((at, nth) => at - (times[nth] ?? 0))
  assert.deepEqual(
    [firstMs, secondMs, thirdMs].map((ms) => (ms ?? 0) >= 900),
    [false, true, true],
  )
  assert.ok(times.length > 50 && times.length <= 70, `${times.length} writes in an hour`)
})
