// The SDK against a simulated EC2 in the same process, on a virtual clock.

import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'node:test'

import { ec2InProcess } from './ec2-in-process.ts'
import { refused } from './ec2-under-test.ts'

test('the SDK needs no socket: its answer is there before the clock could move', async (t) => {
  const { ec2, create } = await ec2InProcess(t)
  let eniId: string | undefined
  void create().then((id) => (eniId = id))
  await nextTurn()
  assert.match(eniId ?? '', /^eni-/)
  assert.equal(ec2.state.findEni(eniId ?? '')?.subnetId, 'subnet-a')
})

test('a refusal comes with its code and words', async (t) => {
  const { create } = await ec2InProcess(t)
  await refused(create('subnet-0'), 'InvalidSubnetID.NotFound', "'subnet-0' does not exist")
})

test('hours of EC2 take no time, and the log has them', async (t) => {
  const { clock, ec2, create } = await ec2InProcess(t, { delays: { answerMs: 3_600_000 } })
  const answer = create()
  await clock.advance(3_600_000)
  await answer
  assert.equal([...ec2.calls][0]?.ms, 3_600_000)
})

test('what a listener throws is no answer of EC2, and is not lost', async (t) => {
  const { ec2, create } = await ec2InProcess(t)
  const uncaught: unknown[] = []
  process.setUncaughtExceptionCaptureCallback((error) => uncaught.push(error))
  t.after(() => process.setUncaughtExceptionCaptureCallback(null))
  const thrower = (what: string) => () => {
    throw new Error(what)
  }
  ec2.state.watch(thrower('of a change'))
  ec2.calls.on(thrower('of a call'))
  assert.match(await create(), /^eni-/)
  // The interface is there, then it is available.
  assert.deepEqual(uncaught.map(String), ['Error: of a change', 'Error: of a change', 'Error: of a call'])
})

test('each action may take its own time', async (t) => {
  const answerMs = (action: string) => (action.startsWith('Describe') ? 100 : 300)
  const { clock, ec2, client, create } = await ec2InProcess(t, { delays: { answerMs } })
  const answers = [create(), client.describeSubnets({})]
  await clock.advance(300)
  await Promise.all(answers)
  assert.deepEqual(
    [...ec2.calls].map(({ action, ms }) => `${action} ${ms}`),
    ['DescribeSubnets 100', 'CreateNetworkInterface 300'],
  )
})

test('the caller is who it says', async (t) => {
  const { ec2, create } = await ec2InProcess(t, {}, { accessKeyId: 'AKIAOTHER' })
  await create()
  assert.equal([...ec2.calls][0]?.accessKeyId, 'AKIAOTHER')
})

test('a broken connection is what the SDK sees of one', async (t) => {
  const { ec2, create } = await ec2InProcess(t)
  ec2.faults.add({ action: '*', when: 'after', kind: 'reset' })
  await assert.rejects(create(), { name: 'TimeoutError', code: 'ECONNRESET' })
  ec2.faults.add({ action: '*', when: 'after', kind: 'http500' })
  await assert.rejects(
    create(),
    (error: { $metadata?: { httpStatusCode?: number } }) => error.$metadata?.httpStatusCode === 500,
  )
})

test('a call that is given up ends at once, before it is sent and while it waits', async (t) => {
  const { ec2, client } = await ec2InProcess(t, { delays: { answerMs: 1000 } })
  const createUntil = (abortSignal: AbortSignal) =>
    client.createNetworkInterface({ SubnetId: 'subnet-a' }, { abortSignal })
  await assert.rejects(createUntil(AbortSignal.abort()), { name: 'AbortError' })
  const enis = ec2.state.enis().length

  const abort = new AbortController()
  const ended = assert.rejects(createUntil(abort.signal), { name: 'AbortError' })
  await nextTurn()
  assert.equal(ec2.state.enis().length, enis + 1)
  abort.abort()
  await ended
})

test('EC2 did it and no answer ever comes: the caller gives up when its timeout has passed on the virtual clock', async (t) => {
  const { clock, ec2, create } = await ec2InProcess(t, {}, { requestTimeoutMs: 20_000 })
  const enis = ec2.state.enis().length
  ec2.faults.add({ action: 'CreateNetworkInterface', when: 'after', kind: 'no-answer' })
  let givenUpAt: number | undefined
  const call = create().finally(() => (givenUpAt = clock.monotonic()))
  const ended = assert.rejects(call, { name: 'TimeoutError', code: 'ETIMEDOUT' })
  await clock.advance(60_000)
  await ended
  assert.equal(givenUpAt, 20_000)
  assert.equal(ec2.state.enis().length, enis + 1)
  assert.equal([...ec2.calls][0]?.error, 'no-answer')
})

test('an answer that is slower than the timeout comes too late, one that is faster leaves no timer behind', async (t) => {
  const { clock, ec2, create } = await ec2InProcess(t, { delays: { answerMs: 50 } }, { requestTimeoutMs: 100 })
  ec2.faults.add({ action: '*', nth: 2, when: 'after', kind: 'slow', ms: 51 })
  const first = create()
  await clock.advance(50)
  await first
  await assert.rejects(
    clock.until(() => false, 1000),
    /no timer is left/,
  )
  assert.equal(clock.monotonic(), 50)
  const late = assert.rejects(create(), { name: 'TimeoutError' })
  await clock.advance(200)
  await late
})
