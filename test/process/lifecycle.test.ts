// runTogether: a program's loops live and end together.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { runTogether } from '../../src/process/lifecycle.ts'

const untilStopped = async (signal: AbortSignal) => {
  if (!signal.aborted) await once(signal, 'abort')
}
const never = new AbortController().signal

test('the loop that fails stops the others, which are waited for, and its error is the outcome', async () => {
  const order: string[] = []
  const slow = async (signal: AbortSignal) => {
    await untilStopped(signal)
    await new Promise(setImmediate)
    order.push('slow ended')
  }
  const failing = async () => {
    await Promise.resolve()
    throw new Error('first')
  }
  await assert.rejects(runTogether(never, [slow, failing]), /^Error: first$/)
  assert.deepEqual(order, ['slow ended'])
})

test('what a loop throws because it was stopped does not hide why it was stopped', async () => {
  const complaining = async (signal: AbortSignal) => {
    await untilStopped(signal)
    throw new Error('aborted')
  }
  const failing = async () => {
    await Promise.resolve()
    throw new Error('address in use')
  }
  await assert.rejects(runTogether(never, [complaining, failing]), /address in use/)
})

test('a loop that ends by itself ends all, without an error', async () => {
  await runTogether(never, [untilStopped, () => Promise.resolve()])
})

test('a signal ends all, without an error even when a loop throws at being stopped', async () => {
  const stop = new AbortController()
  const complaining = async (signal: AbortSignal) => {
    await untilStopped(signal)
    throw new Error('aborted')
  }
  const running = runTogether(stop.signal, [untilStopped, complaining])
  stop.abort()
  await running
})

test('no loop is started once another has failed at once', async () => {
  const failing = () => Promise.reject(new Error('at once'))
  let started = 0
  const counted = () => {
    started += 1
    return Promise.resolve()
  }
  const failed = () => {
    throw new Error('before its first await')
  }
  await assert.rejects(runTogether(never, [failed, counted, failing]), /before its first await/)
  assert.equal(started, 0)
})
