// Our share of EC2's token buckets: how many calls at once, how many a second, and whose.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Ec2Action } from '../../src/attacher/ec2-action.ts'
import { Ec2Limiter, type Ec2LimiterOptions, type Urgency } from '../../src/attacher/ec2-limiter.ts'
import { ManualClock } from '../process/manual-clock.ts'

const action = 'AttachNetworkInterface'

interface CallOptions {
  readonly urgency?: Urgency
  readonly signal?: AbortSignal
  readonly of?: Ec2Action
}

function limiterUnderTest(options: Partial<Ec2LimiterOptions> = {}) {
  const clock = new ManualClock()
  const limiter = new Ec2Limiter({ clock, share: 1, quotas: new Map(), concurrency: 1000, ...options })
  const made: string[] = []
  const call = (
    name: string,
    { urgency = 'pods', signal = new AbortController().signal, of = action }: CallOptions = {},
  ) => limiter.run(of, urgency, signal, async () => void made.push(name))
  const calls = (count: number) => Promise.all(Array.from({ length: count }, (_, i) => call(String(i))))
  /** Time passes, and what it makes possible happens. */
  const pass = async (ms: number) => {
    clock.advance(ms)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { clock, limiter, made, call, calls, pass }
}

test('a full bucket at once, then as many as it refills', async () => {
  const { made, calls, pass } = limiterUnderTest()
  void calls(60)
  await pass(0)
  assert.equal(made.length, 50)
  await pass(199)
  assert.equal(made.length, 50)
  await pass(1)
  assert.equal(made.length, 51)
  await pass(1_800)
  assert.equal(made.length, 60)
})

test('a bucket fills again, and not beyond its size', async () => {
  const { made, calls, pass } = limiterUnderTest()
  await calls(50)
  await pass(3_600_000)
  void calls(60)
  await pass(0)
  assert.equal(made.length, 100)
})

test('each action has a bucket of its own', async () => {
  const { made, call, calls } = limiterUnderTest()
  await calls(50)
  await call('other', { of: 'DetachNetworkInterface' })
  assert.equal(made.length, 51)
})

test('a share of the bucket and of its refill is left to others', async () => {
  const { made, calls, pass } = limiterUnderTest({ share: 0.5 })
  void calls(30)
  await pass(0)
  assert.equal(made.length, 25)
  await pass(399)
  assert.equal(made.length, 25)
  await pass(1)
  assert.equal(made.length, 26)
})

test('the quota of the account counts where it is told', async () => {
  const { made, calls, pass } = limiterUnderTest({ quotas: new Map([[action, { tokens: 2, perSecond: 1 }]]) })
  void calls(4)
  await pass(0)
  assert.equal(made.length, 2)
  await pass(1_000)
  assert.equal(made.length, 3)
})

test('who is urgent goes first, and in the order of asking', async () => {
  const { made, call, calls, pass } = limiterUnderTest()
  await calls(50)
  made.length = 0
  for (const urgency of ['collection', 'release', 'ahead', 'pods'] as const)
    for (const n of [1, 2]) void call(`${urgency} ${n}`, { urgency })
  await pass(10_000)
  assert.deepEqual(made, [
    'pods 1',
    'pods 2',
    'ahead 1',
    'ahead 2',
    'release 1',
    'release 2',
    'collection 1',
    'collection 2',
  ])
})

test('so many calls at the same time and no more, whatever the buckets hold', async () => {
  const { limiter, made, call } = limiterUnderTest({ concurrency: 2 })
  const answers = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { signal } = new AbortController()
  const slow = answers.map(({ promise }) => limiter.run(action, 'collection', signal, () => promise))
  const urgent = call('urgent')
  assert.deepEqual(made, [])
  answers[0]?.resolve()
  await urgent
  answers[1]?.resolve()
  await Promise.all(slow)
})

test('a call that fails gives its place back', async () => {
  const { limiter, call } = limiterUnderTest({ concurrency: 1 })
  const { signal } = new AbortController()
  await assert.rejects(
    limiter.run(action, 'pods', signal, () => Promise.reject(new Error('no'))),
    /no/,
  )
  await call('next')
})

test('a refusal empties the bucket', async () => {
  const { limiter, made, calls, pass } = limiterUnderTest()
  limiter.refused(action)
  void calls(100)
  await pass(0)
  assert.equal(made.length, 0)
  await pass(10_000)
  assert.equal(made.length, 50)
})

test('another one soon after halves the rate, which comes back', async () => {
  const { limiter, made, calls, pass } = limiterUnderTest()
  limiter.refused(action)
  limiter.refused(action)
  void calls(100)
  await pass(0)
  assert.equal(made.length, 0)
  await pass(300)
  assert.equal(made.length, 0, 'at 5 a second there would be one')
  await pass(9_700)
  const slow = made.length
  assert.ok(slow >= 30 && slow <= 40, `${slow} in the first 10 s`)
  await pass(10_000)
  assert.equal(made.length - slow, 50)
})

test('refusals without end never stop it for good', async () => {
  const { limiter, made, call, pass } = limiterUnderTest()
  for (let i = 0; i < 100; i++) limiter.refused(action)
  void call('late')
  await pass(5_000)
  assert.deepEqual(made, ['late'])
})

test('who has lost the lead calls no more, and its token is not lost', async () => {
  const { made, call, calls, pass } = limiterUnderTest()
  await calls(50)
  made.length = 0
  const lead = new AbortController()
  const lost = call('lost', { signal: lead.signal })
  const next = call('next')
  lead.abort(new Error('the lead is lost'))
  await assert.rejects(lost, /the lead is lost/)
  await assert.rejects(call('later', { signal: lead.signal }), /the lead is lost/)
  await pass(200)
  await next
  assert.deepEqual(made, ['next'])
})
