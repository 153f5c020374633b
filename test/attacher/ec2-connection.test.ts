// How often one call is made, and for how long.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EC2ServiceException } from '@aws-sdk/client-ec2'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { Ec2Connection, type Ec2Observer } from '../../src/attacher/ec2-connection.ts'
import { isEc2 } from '../../src/attacher/ec2-error.ts'
import { Ec2Gate } from '../../src/attacher/ec2-gate.ts'
import { Ec2Limiter } from '../../src/attacher/ec2-limiter.ts'

const action = 'AttachNetworkInterface'
const { signal } = new AbortController()

function refuse(): never {
  const name = 'RequestLimitExceeded'
  throw new EC2ServiceException({ name, message: name, $fault: 'client', $metadata: { httpStatusCode: 503 } })
}

/** One call at once, then one a second. */
function connectionUnderTest() {
  const seen = { called: 0, throttled: 0, retried: 0 }
  const observer: Ec2Observer = {
    called: () => seen.called++,
    waited: () => undefined,
    throttled: () => seen.throttled++,
    retried: () => seen.retried++,
  }
  const clock = new VirtualClock()
  const quotas = new Map([[action, { tokens: 1, perSecond: 1 }] as const])
  const limiter = new Ec2Limiter({ clock, share: 1, quotas, concurrency: 100 })
  const connection = new Ec2Connection({ limiter, gate: new Ec2Gate(clock), clock, observer, concurrency: 100 })
  const call = (send: () => Promise<string>) => connection.call(action, 'pods', signal, send)
  return { clock, call, seen }
}

test('a call that EC2 refuses as one too many for a minute fails, so that the one who waits hears why', async () => {
  const { clock, call } = connectionUnderTest()
  let error: unknown
  call(async () => refuse()).catch((thrown: unknown) => (error = thrown))
  await clock.advance(59_000)
  assert.equal(error, undefined)
  await clock.until(() => isEc2(error, 'Throttled'), 30_000)
})

test('the minute begins with the first refusal, however long the call has waited for its turn', async () => {
  const { clock, call } = connectionUnderTest()
  const before = Array.from({ length: 90 }, () => call(async () => 'ok'))
  let tries = 0
  let answer: unknown
  call(async () => (++tries > 1 ? 'ok' : refuse())).then(
    (value) => (answer = value),
    (thrown: unknown) => (answer = thrown),
  )
  await clock.until(() => answer !== undefined, 120_000)
  assert.deepEqual([tries, answer], [2, 'ok'])
  await Promise.all(before)
})

test('a throttle is counted, and each call that is made again after one', async () => {
  const { clock, call, seen } = connectionUnderTest()
  let tries = 0
  const answered = call(async () => (++tries > 2 ? 'ok' : refuse()))
  await clock.advance(30_000)
  assert.equal(await answered, 'ok')
  assert.deepEqual(seen, { called: 3, throttled: 2, retried: 2 })
})
