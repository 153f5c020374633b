// The API server fails for ten minutes while EC2 does not, from any moment of an attach and a release on; or its watches do. What
// runs is not touched, nobody is asked in a tight loop, and afterwards everything is done, and done once.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { type Disturbance, isWatch } from '../kube-api/api-double.ts'
import { AccountInUse, minuteMs } from './lab/account-in-use.ts'

/** Answers how to end it. */
function disturb({ api }: AccountInUse, { when, answer }: Disturbance): () => void {
  // What changes nothing cannot be done and unanswered.
  api.disturb = ({ method }) => ({ when: method === 'GET' ? 'before' : when, answer })
  api.breakWatches()
  return () => (api.disturb = () => undefined)
}

describe('the API server fails for ten minutes, from the moment of a call on', () => {
  const failures: Readonly<Record<string, Disturbance>> = {
    'it is unreachable': { when: 'before', answer: 'reset' },
    'it does what is asked, and the answer is lost': { when: 'after', answer: 'reset' },
    'it answers 500': { when: 'before', answer: 500 },
    'it does what is asked, and answers 500': { when: 'after', answer: 500 },
    'it answers 429': { when: 'before', answer: 429 },
  }
  const calls = [
    'DescribeSubnets',
    'CreateNetworkInterface',
    'AttachNetworkInterface',
    'ModifyNetworkInterfaceAttribute',
    'DetachNetworkInterface',
    'DeleteNetworkInterface',
  ]
  for (const [name, disturbance] of Object.entries(failures))
    for (const action of calls) test(`${name}: ${action}`, async () => liveThrough(disturbance, action, false))
  for (const name of ['it is unreachable', 'it does what is asked, and the answer is lost'])
    for (const action of ['CreateNetworkInterface', 'DetachNetworkInterface'])
      test(`${name}: ${action}, and the attacher is restarted`, async () =>
        liveThrough(failures[name] ?? assert.fail(), action, true))
})

async function liveThrough(disturbance: Disturbance, action: string, restarts: boolean): Promise<void> {
  const lab = new AccountInUse()
  await lab.start()
  let end: (() => void) | undefined
  lab.onCall(action, () => (end = disturb(lab, disturbance)))
  if (/^De(tach|lete)/.test(action)) lab.releaseIdle()
  else lab.addPod('comes', 'a2')
  await lab.until(() => end !== undefined)
  const beganAtMs = lab.clock.now()
  const requests = lab.api.requests.length
  await lab.clock.advance(5 * minuteMs)
  if (restarts) lab.startAttacher()
  await lab.clock.advance(5 * minuteMs)
  assert.ok(lab.api.requests.length - requests < 400, `${lab.api.requests.length - requests} requests`)
  lab.assertCallsAtMost(150, beganAtMs)
  end?.()
  lab.assertHeldUntouched()
  await lab.assertAllWell()
  await lab.assertLeavesNothing()
}

test('watches that break, lose events or are too old, while pods come and go: nothing is lost', async () => {
  const lab = new AccountInUse()
  await lab.start()
  const mishaps = [
    () => lab.api.dropEvents(2),
    () => lab.api.breakWatches(),
    () => {
      lab.api.forgetHistory()
      lab.api.breakWatches()
    },
  ]
  lab.releaseIdle()
  for (let pass = 0; pass < 60; pass++) {
    mishaps[pass % mishaps.length]?.()
    if (pass % 4 === 0) lab.addPod(`comes-${pass}`, 'a2')
    if (pass % 4 === 2) lab.endPod(`comes-${pass - 2}`)
    await lab.clock.advance(7_000)
  }
  lab.addPod('comes', 'a1')
  lab.assertHeldUntouched()
  await lab.assertAllWell()
  await lab.assertLeavesNothing()
})

test('lists are answered, watches are not: the work goes on by lists', async () => {
  const lab = new AccountInUse()
  await lab.start()
  lab.api.disturb = (request) => (isWatch(request) ? { when: 'before', answer: 'reset' } : undefined)
  lab.api.breakWatches()
  lab.addPod('comes', 'a2')
  await lab.until(() => lab.isServed('comes'), 11 * minuteMs)
  lab.api.disturb = () => undefined
  await lab.assertAllWell()
})
