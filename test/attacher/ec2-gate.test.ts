// Which calls are not made while EC2 would answer none of them, when one tries, and when all are made again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ZodError } from 'zod'

import { Ec2Error, type Ec2ErrorKind } from '../../src/attacher/ec2-error.ts'
import { Ec2Gate } from '../../src/attacher/ec2-gate.ts'
import { ManualClock } from '../process/manual-clock.ts'

const minuteMs = 60_000

function gateUnderTest() {
  const clock = new ManualClock()
  const gate = new Ec2Gate(clock)
  const made: string[] = []
  let opened = 0
  gate.onOpen(() => opened++)
  const call = async (action: string, kind?: Ec2ErrorKind, cause?: Error) =>
    gate.run(action, async () => {
      made.push(action)
      if (kind !== undefined) throw new Ec2Error(action, kind, `Code${kind}`, 'EC2 says no', cause)
    })
  const fails = async (action: string, kind: Ec2ErrorKind, times = 1, cause?: Error) => {
    for (let i = 0; i < times; i++) await call(action, kind, cause).catch(() => undefined)
  }
  /** Somebody asks every second. */
  const askFor = async (ms: number, action: string, kind: Ec2ErrorKind) => {
    for (let passed = 0; passed < ms; passed += 1_000) {
      await fails(action, kind)
      clock.advance(1_000)
    }
  }
  return { clock, gate, made, call, fails, askFor, timesOpened: () => opened }
}

test('who is refused by its credentials keeps all other calls from being made; each fails with its own name', async () => {
  const { made, call, fails } = gateUnderTest()
  await fails('DescribeSubnets', 'Credentials')
  await assert.rejects(call('AttachNetworkInterface'), {
    action: 'AttachNetworkInterface',
    kind: 'Credentials',
    code: 'CodeCredentials',
    message: 'EC2 AttachNetworkInterface: CodeCredentials: EC2 says no (as an earlier call ended; not asked now)',
  })
  assert.deepEqual(made, ['DescribeSubnets'])
})

test('one call tries at ever longer times, up to half a minute or so, whoever asks', async () => {
  const { made, askFor } = gateUnderTest()
  await askFor(60 * minuteMs, 'DescribeSubnets', 'Credentials')
  assert.ok(made.length > 90 && made.length < 180, `${made.length} calls in an hour`)
  const before = made.length
  await askFor(minuteMs, 'CreateNetworkInterface', 'Credentials')
  assert.ok(made.length - before <= 3)
})

test('while one tries, no other does', async () => {
  const { clock, gate, call, fails } = gateUnderTest()
  await fails('DescribeSubnets', 'Credentials')
  clock.advance(minuteMs)
  const answer = Promise.withResolvers<void>()
  const trying = gate.run('DescribeSubnets', () => answer.promise)
  await assert.rejects(call('DescribeSubnets'), { kind: 'Credentials' })
  await assert.rejects(call('DeleteNetworkInterface'), { kind: 'Credentials' })
  answer.resolve()
  await trying
  await call('DeleteNetworkInterface')
})

test('the first that succeeds opens it for all, and whoever backs off hears of it', async () => {
  const { clock, call, fails, askFor, timesOpened } = gateUnderTest()
  await askFor(minuteMs, 'DescribeSubnets', 'Credentials')
  await fails('CreateNetworkInterface', 'Credentials')
  clock.advance(minuteMs)
  assert.equal(timesOpened(), 0)
  await call('DescribeInstances')
  assert.equal(timesOpened(), 1)
  for (const action of ['DescribeSubnets', 'CreateNetworkInterface', 'AttachNetworkInterface']) await call(action)
})

test('any other refusal is an answer to somebody whom EC2 knows', async () => {
  const { clock, call, fails } = gateUnderTest()
  for (const kind of ['Configuration', 'Throttled', 'NotFound'] as const) {
    await fails('DescribeSubnets', 'Credentials')
    clock.advance(minuteMs)
    await fails('DescribeSubnets', kind)
    await call('CreateNetworkInterface')
  }
})

test('no answer says nothing of the credentials: they are tried again later', async () => {
  const { clock, call, fails } = gateUnderTest()
  await fails('DescribeSubnets', 'Credentials')
  clock.advance(minuteMs)
  await fails('DescribeInstances', 'Retry')
  await assert.rejects(call('CreateNetworkInterface'), { kind: 'Credentials' })
  clock.advance(minuteMs)
  await call('CreateNetworkInterface')
})

test('what is refused to one action only is asked for ever more rarely, and holds up no other for long', async () => {
  const { clock, made, call, fails, timesOpened } = gateUnderTest()
  for (let passed = 0; passed < 60 * minuteMs; passed += 2_000) {
    await fails('AttachNetworkInterface', 'Credentials')
    clock.advance(1_500)
    await call('DescribeNetworkInterfaces')
    clock.advance(500)
  }
  const attaches = made.filter((action) => action === 'AttachNetworkInterface').length
  assert.ok(attaches < 180, `${attaches} in an hour`)
  assert.equal(timesOpened(), 0)
})

test('no answer to one action, five times in a row, is of this action; an answer begins the count anew', async () => {
  const { made, call, fails } = gateUnderTest()
  await fails('CreateNetworkInterface', 'Retry', 4)
  await call('CreateNetworkInterface')
  await fails('CreateNetworkInterface', 'Retry', 5)
  made.length = 0
  await assert.rejects(call('CreateNetworkInterface'), { kind: 'Retry', code: 'CodeRetry' })
  await call('AttachNetworkInterface')
  assert.deepEqual(made, ['AttachNetworkInterface'])
})

test('when an action is answered again, the others that were not are tried at once', async () => {
  const { clock, call, fails, askFor, timesOpened } = gateUnderTest()
  await fails('DescribeSubnets', 'Retry', 5)
  await askFor(10 * minuteMs, 'DescribeSubnets', 'Retry')
  clock.advance(minuteMs)
  await fails('CreateNetworkInterface', 'Retry', 5)
  await call('DescribeSubnets')
  assert.equal(timesOpened(), 1)
  await call('CreateNetworkInterface')
})

test('answers that cannot be read are about what was asked for', async () => {
  const { call, fails } = gateUnderTest()
  await fails('DescribeNetworkInterfaces', 'Retry', 20, new ZodError([]))
  await call('DescribeNetworkInterfaces')
})

test('calls that were under way when it closed make the first rest no longer', async () => {
  const { clock, gate, call } = gateUnderTest()
  const refused = Promise.withResolvers<never>()
  const underWay = Array.from({ length: 50 }, () => gate.run('DescribeSubnets', () => refused.promise))
  refused.reject(new Ec2Error('DescribeSubnets', 'Credentials', 'AuthFailure', 'no', undefined))
  await Promise.allSettled(underWay)
  clock.advance(1_250)
  await call('DescribeSubnets')
})
