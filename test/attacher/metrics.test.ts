// What /metrics says of the attacher: calls, waits, throttles, phases, steps.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Ec2Error } from '../../src/attacher/ec2-error.ts'
import { AttacherMetrics } from '../../src/attacher/metrics.ts'
import { attachmentOf } from './objects.ts'

const at = (seconds: number) => new Date(seconds * 1000).toISOString()

async function stepsOf(metrics: AttacherMetrics) {
  return (await metrics.stepSeconds.get()).values.flatMap(({ metricName, labels, value }) =>
    metricName?.endsWith('_sum') ? [[labels.step, labels.urgency, value]] : [],
  )
}

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
  const eni = { plannedTime: at(1), createdTime: at(3), attachCalledTime: at(4), attachedTime: at(10) }
  metrics.observeSteps(attachmentOf('1', { status: { eni } }))
  assert.deepEqual(await stepsOf(metrics), [
    ['create', 'ahead', 2],
    ['prepare', 'ahead', 1],
    ['attach', 'ahead', 6],
  ])
})

test('an ENI that a pod waits for is told from one ahead of pods', async () => {
  const metrics = new AttacherMetrics()
  const eni = { attachCalledTime: at(4), attachedTime: at(10) }
  const claim = { namespace: 'cnf', name: 'upf-0', uid: 'uid-upf-0' }
  const { spec } = attachmentOf('1')
  metrics.observeSteps(attachmentOf('1', { spec: { ...spec, claim }, status: { eni } }))
  metrics.observeSteps(attachmentOf('2', { status: { eni, device: { inUseBy: claim } } }))
  metrics.observeSteps(attachmentOf('3', { status: { eni } }))
  assert.deepEqual(await stepsOf(metrics), [
    ['attach', 'pods', 12],
    ['attach', 'ahead', 6],
  ])
})

test('a step that failed counts as one to be made again, but not where nothing was asked', async () => {
  const metrics = new AttacherMetrics()
  const error = new Ec2Error('AttachNetworkInterface', 'Retry', 'NoAnswer', 'socket hang up', undefined)
  metrics.stepFailed(error)
  metrics.stepFailed(error.ofCallNotMade('AttachNetworkInterface'))
  const text = await metrics.registry.metrics()
  assert.match(text, /^jiteni_attacher_ec2_retries_total\{action="AttachNetworkInterface",after="error"\} 1$/m)
})

test('a call is observed with its outcome, its wait with its urgency, a throttle by itself', async () => {
  const metrics = new AttacherMetrics()
  metrics.ec2Observer.called('AttachNetworkInterface', 'RequestLimitExceeded', 0.2)
  metrics.ec2Observer.waited('AttachNetworkInterface', 'pods', 3)
  metrics.ec2Observer.throttled('AttachNetworkInterface')
  metrics.ec2Observer.retried('AttachNetworkInterface')
  const text = await metrics.registry.metrics()
  for (const line of [
    'jiteni_attacher_ec2_call_duration_seconds_count{action="AttachNetworkInterface",outcome="RequestLimitExceeded"} 1',
    'jiteni_attacher_ec2_wait_duration_seconds_sum{action="AttachNetworkInterface",urgency="pods"} 3',
    'jiteni_attacher_ec2_throttled_total{action="AttachNetworkInterface"} 1',
    'jiteni_attacher_ec2_retries_total{action="AttachNetworkInterface",after="throttle"} 1',
  ])
    assert.ok(text.includes(line), text)
})
