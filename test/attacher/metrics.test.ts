// What /metrics says of the attacher: calls, waits, throttles, phases, steps.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { AttacherMetrics } from '../../src/attacher/metrics.ts'
import { attachmentOf } from './objects.ts'

test('ENIs by phase are counted when the metrics are read', async () => {
  const metrics = new AttacherMetrics()
  const all = [attachmentOf('1'), attachmentOf('2', { status: { eni: { attached: true } } })]
  metrics.watchPhases(() => all)
  const phases = async () =>
    (await metrics.enis.get()).values.filter(({ value }) => value > 0).map(({ labels, value }) => [labels.phase, value])
  assert.deepEqual(await phases(), [
    ['Pending', 1],
    ['Attached', 1],
  ])
  all.pop()
  assert.deepEqual(await phases(), [['Pending', 1]])
})

test('the steps of an ENI are timed by what stands in its status', async () => {
  const metrics = new AttacherMetrics()
  const at = (seconds: number) => new Date(seconds * 1000).toISOString()
  const eni = { plannedTime: at(1), createdTime: at(3), attachCalledTime: at(4), attachedTime: at(10) }
  metrics.observeSteps(attachmentOf('1', { status: { eni } }))
  const sums = (await metrics.stepSeconds.get()).values.flatMap(({ metricName, labels, value }) =>
    metricName?.endsWith('_sum') ? [[labels.step, value]] : [],
  )
  assert.deepEqual(sums, [
    ['create', 2],
    ['prepare', 1],
    ['attach', 6],
  ])
})

test('a call is observed with its outcome, its wait with its urgency, a throttle by itself', async () => {
  const metrics = new AttacherMetrics()
  metrics.ec2Observer.called('AttachNetworkInterface', 'RequestLimitExceeded', 0.2)
  metrics.ec2Observer.waited('AttachNetworkInterface', 'pods', 3)
  metrics.ec2Observer.throttled('AttachNetworkInterface')
  const text = await metrics.registry.metrics()
  for (const line of [
    'jiteni_attacher_ec2_call_seconds_count{action="AttachNetworkInterface",outcome="RequestLimitExceeded"} 1',
    'jiteni_attacher_ec2_wait_seconds_sum{action="AttachNetworkInterface",urgency="pods"} 3',
    'jiteni_attacher_ec2_throttled_total{action="AttachNetworkInterface"} 1',
  ])
    assert.ok(text.includes(line), text)
})
