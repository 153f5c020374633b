// EC2, or its credentials, fail for an hour, from any moment of an attach and a release on. What runs is not touched, whoever waits
// hears why, the calls back off, and afterwards everything is done, and done once.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import type { Fault } from '../../sim/ec2/wire/faults.ts'
import type { WireAnswer } from '../../sim/ec2/wire/service.ts'
import { isEc2 } from '../../src/attacher/ec2-error.ts'
import { ec2Client } from './ec2-access.ts'
import { AccountInUse, hourMs, minuteMs } from './lab/account-in-use.ts'

/** Begins, and answers how to end it. */
type Trouble = (lab: AccountInUse) => () => void

type Moment = 'before its intent' | 'after its create' | 'after its attach' | 'after the detach of another'
const everyMoment: readonly Moment[] = [
  'before its intent',
  'after its create',
  'after its attach',
  'after the detach of another',
]

interface Hour {
  readonly trouble: Trouble
  /** In the condition and in the event of the pod. */
  readonly says: RegExp
  /** When it begins for the pod that comes. */
  readonly moments: readonly Moment[]
  /** The attacher is, in the middle of another such hour. */
  readonly isRestarted?: boolean
  /**
   * Of any one action. Three ENIs are tried about once a minute each, what is under way is looked at four times in one (eni-watch.ts),
   * and all are every two minutes.
   */
  readonly callsMax?: number
}

const isDescribe = (action: string) => action.startsWith('Describe')
const isChange = (action: string) => !isDescribe(action)
const isAny = () => true

function fault(kind: Fault['kind']): Trouble {
  return ({ ec2 }) => ec2.faults.add({ action: '*', when: 'before', times: Infinity, kind })
}

type Answer = (done: () => Promise<WireAnswer>) => Promise<WireAnswer>

function instead(isHit: (action: string) => boolean, answer: Answer): Trouble {
  return (lab) => {
    lab.answerInstead = (action, done) => (isHit(action) ? answer(done) : undefined)
    return () => (lab.answerInstead = () => undefined)
  }
}

function credentials(how: 'expire' | 'reject'): Trouble {
  return ({ ec2: { iam } }) => {
    iam.sessions[how]()
    return () => iam.sessions.restore()
  }
}

function html(status: number): Answer {
  return async () => ({ status, contentType: 'text/html', document: '<html><body>Sorry</body></html>' })
}

const reset: Answer = async () => 'reset'
const doneAndReset: Answer = async (done) => {
  await done()
  return 'reset'
}
const noSuchHost = (host: string) => Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' })

const hours: Readonly<Record<string, Hour>> = {
  'credentials have expired': {
    trouble: credentials('expire'),
    says: /RequestExpired: Request has expired/,
    moments: everyMoment,
    isRestarted: true,
  },
  'credentials are rejected': {
    trouble: credentials('reject'),
    says: /AuthFailure: AWS was not able to validate the provided access credentials/,
    moments: ['before its intent'],
  },
  'connections break': {
    trouble: fault('reset'),
    says: /NoAnswer: socket hang up/,
    moments: ['before its intent', 'after its create', 'after the detach of another'],
    isRestarted: true,
  },
  'no answer comes': {
    trouble: fault('no-answer'),
    says: /NoAnswer: a request has exceeded the configured 20000 ms/,
    moments: ['before its intent', 'after the detach of another'],
    isRestarted: true,
  },
  'EC2 answers HTTP 500': {
    trouble: fault('http500'),
    says: /UnexpectedAnswer: HTTP status 500, and no error of EC2/,
    moments: ['after its create'],
  },
  'a load balancer answers 503': {
    trouble: instead(isAny, html(503)),
    says: /UnexpectedAnswer: HTTP status 503, and no error of EC2/,
    moments: ['before its intent'],
  },
  'a proxy answers 403': {
    trouble: instead(isAny, html(403)),
    says: /UnexpectedAnswer: HTTP status 403, and no error of EC2/,
    moments: ['after its create'],
  },
  'the host name does not resolve': {
    trouble: instead(isAny, () => Promise.reject(noSuchHost('ec2.eu-nowhere-1.amazonaws.com'))),
    says: /NoAnswer: getaddrinfo ENOTFOUND ec2\.eu-nowhere-1\.amazonaws\.com/,
    moments: ['before its intent'],
  },
  'the connections of changes break': {
    trouble: instead(isChange, reset),
    says: /NoAnswer: socket hang up/,
    moments: everyMoment,
    isRestarted: true,
  },
  'the connections of describes break': {
    trouble: instead(isDescribe, reset),
    says: /NoAnswer: socket hang up/,
    moments: ['before its intent'],
    isRestarted: true,
  },
  'the account is throttled': {
    trouble: fault({ code: 'RequestLimitExceeded', message: 'Request limit exceeded.', status: 503 }),
    says: /RequestLimitExceeded: Request limit exceeded/,
    moments: [],
    isRestarted: true,
    // The limiter's least rate: 1.25 of a describe in a second.
    callsMax: 1.3 * 3_600,
  },
}

/** A pod comes, and an ENI that is idle is due then or twenty minutes later. */
async function beginAt(lab: AccountInUse, moment: Moment, trouble: Trouble): Promise<() => void> {
  let end: (() => void) | undefined
  const begin = () => (end ??= trouble(lab))
  const actions = {
    'after its create': 'CreateNetworkInterface',
    'after its attach': 'AttachNetworkInterface',
    'after the detach of another': 'DetachNetworkInterface',
  }
  if (moment === 'before its intent') begin()
  else lab.onCall(actions[moment], begin)
  if (moment === 'after the detach of another') {
    lab.releaseIdle()
    await lab.until(() => end !== undefined)
  }
  lab.addPod('comes', 'a2')
  await lab.until(() => end !== undefined)
  return end ?? assert.fail('it has not begun')
}

async function liveThrough({ trouble, says, callsMax = 400 }: Hour, moment: Moment, restarts: boolean): Promise<void> {
  const lab = new AccountInUse()
  await lab.start()
  const end = await beginAt(lab, moment, trouble)
  const beganAtMs = lab.clock.now()
  await lab.clock.advance(6 * minuteMs)
  lab.assertUnavailable(says)
  await lab.clock.advance(24 * minuteMs)
  if (restarts) lab.startAttacher()
  lab.addPod('comes later', 'a1')
  await lab.clock.advance(hourMs / 2)
  lab.assertUnavailable(says)
  lab.assertHeldUntouched()
  for (const pod of ['comes', 'comes later']) {
    assert.equal(lab.isServed(pod), false)
    // Of what EC2 has begun, only the watch knows.
    if (pod === 'comes later' || moment !== 'after its attach') assert.match(lab.events('Pod', pod).join('\n'), says)
  }
  lab.assertCallsAtMost(callsMax, beganAtMs)
  end()
  await lab.assertAllWell()
  assert.equal(lab.intents, 5, 'no try was given up')
  await lab.assertLeavesNothing()
}

for (const [name, hour] of Object.entries(hours)) {
  describe(`for an hour ${name}`, () => {
    for (const moment of hour.moments) test(`from a moment ${moment} on`, async () => liveThrough(hour, moment, false))
    if (hour.isRestarted)
      test('and the attacher is restarted', async () => liveThrough(hour, 'before its intent', true))
  })
}

test('while EC2 does what it has begun, and no describe is answered, the pod hears of it', async () => {
  const lab = new AccountInUse()
  await lab.start()
  await beginAt(lab, 'after its attach', fault('reset'))
  await lab.clock.advance(hourMs)
  assert.match(lab.events('Pod', 'comes').join('\n'), /EC2 DescribeNetworkInterfaces: NoAnswer/)
})

test('changes that are done and never answered, for an hour from any moment on: each is done once', async (t) => {
  for (const moment of everyMoment)
    await t.test(moment, async () => {
      const lab = new AccountInUse()
      await lab.start()
      const end = await beginAt(lab, moment, instead(isChange, doneAndReset))
      await lab.clock.advance(hourMs)
      lab.assertHeldUntouched()
      assert.match(lab.events('Pod', 'comes').join('\n'), /EC2 \w+: NoAnswer: socket hang up/)
      end()
      await lab.assertAllWell()
      await lab.assertLeavesNothing()
    })
})

for (const name of ['credentials are rejected', 'connections break'])
  test(`${name} from the start: all who wait hear of it, and all is done when that is mended`, async () => {
    const { trouble, says } = hours[name] ?? assert.fail()
    const lab = new AccountInUse()
    const end = trouble(lab)
    lab.addUpf()
    lab.startAttacher()
    lab.addPod('comes', 'a1')
    await lab.clock.advance(minuteMs)
    for (const type of ['Ready', 'EC2Available']) {
      assert.equal(lab.condition(type)?.status, 'False')
      assert.match(lab.condition(type)?.message ?? '', says)
    }
    assert.match(lab.events('Pod', 'comes').join('\n'), says)
    assert.match(lab.events('NodeENI', 'upf').join('\n'), says)
    await lab.clock.advance(hourMs / 2)
    lab.startAttacher()
    await lab.clock.advance(hourMs / 2)
    lab.assertCallsAtMost(250, 0)
    assert.deepEqual(
      lab.calls.filter(({ action }) => isChange(action)),
      [],
    )
    end()
    await lab.assertAllWell()
    assert.equal(lab.isServed('comes'), true)
    await lab.assertLeavesNothing()
  })

test('whenever EC2 ceases to answer, the NodeENI says so within five minutes, also when nobody waits for an ENI', async () => {
  // What is known of subnets is good for ten minutes; some minutes after a sweep it has run out.
  for (let minutes = 0; minutes < 12; minutes++) {
    const lab = new AccountInUse()
    await lab.start()
    await lab.clock.advance(minutes * minuteMs)
    fault('reset')(lab)
    await lab.until(() => lab.condition('EC2Available')?.status === 'False')
    lab.assertUnavailable(/NoAnswer: socket hang up/)
    lab.stopAttacher()
    await lab.clock.settle()
  }
})

test('while EC2 does not answer a NodeENI is as ready as it was, but one that has changed is not', async () => {
  const lab = new AccountInUse()
  await lab.start()
  const end = fault('reset')(lab)
  await lab.clock.advance(20 * minuteMs)
  assert.equal(lab.condition('Ready')?.status, 'True')
  lab.scene.changeNodeENI('upf', { securityGroupIDs: ['sg-second'] })
  await lab.clock.advance(2 * minuteMs)
  assert.match(lab.condition('Ready')?.message ?? '', /NoAnswer: socket hang up/)
  end()
  await lab.assertAllWell()
})

test('EC2 is asked again after ever longer times, up to a minute or so and never the same', async () => {
  const lab = new AccountInUse()
  await lab.start()
  fault('reset')(lab)
  const beganAtMs = lab.clock.now()
  await lab.clock.advance(hourMs)
  const sweeps = lab.callsSince(beganAtMs, 'DescribeInstances').map(({ atMs }) => atMs)
  const gaps = sweeps.slice(1).map((atMs, i) => atMs - (sweeps[i] ?? NaN))
  assert.ok(
    gaps.slice(0, 3).every((ms, i) => ms < 8_000 * 2 ** i),
    `the first: ${gaps.slice(0, 3).join(' ')}`,
  )
  const later = gaps.slice(5)
  assert.ok(
    later.every((ms) => ms > 40_000 && ms < 80_000),
    `later ones: ${later.join(' ')}`,
  )
  assert.ok(new Set(later).size > later.length / 2, `later ones: ${later.join(' ')}`)
})

test('a region that does not exist: the error names the host that was asked', async () => {
  const requestHandler = {
    handle: ({ hostname }: { hostname: string }) => Promise.reject(noSuchHost(hostname)),
    updateHttpClientConfig() {},
    httpHandlerConfigs: () => ({}),
  }
  const client = { region: 'eu-nowhere-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, requestHandler }
  await assert.rejects(ec2Client({ client }).describeInstances(['i-a1']), (error) => {
    assert.ok(isEc2(error, 'Retry'))
    const words = 'NoAnswer: getaddrinfo ENOTFOUND ec2.eu-nowhere-1.amazonaws.com'
    assert.equal(error.message, `EC2 DescribeInstances: ${words}`)
    return true
  })
})
