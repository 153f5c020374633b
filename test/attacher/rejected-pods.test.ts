// A pod that comes back after a reboot before its device does is refused by the kubelet for good: it is told why, and its claim is
// free for the pod that replaces it.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { AttacherMetrics } from '../../src/attacher/metrics.ts'
import { RejectedPods } from '../../src/attacher/rejected-pods.ts'
import { parsePod } from '../../src/kube/objects.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'

const options = { timeout: 15_000 }
const message = `Pod was rejected: Allocate failed due to cannot allocate unregistered device ${resource}, which is unexpected`

test(
  'such a pod has an event that says that it is lost and what comes next, and its claim is freed',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    attacher.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '1h' })
    await attacher.ready('upf', 'True')
    attacher.addIntent('eni-a', attacher.addPod('a'))
    await attacher.attached('eni-a')
    const status = { phase: 'Failed', reason: 'UnexpectedAdmissionError', message }
    attacher.api.store('pods').update('cnf/a', (pod) => ({ ...pod, status }))
    await attacher.attachmentIs('eni-a', ({ spec }) => spec.claim === undefined)
    const said = await attacher.event('Pod', 'a', 'DeviceNotReady')
    assert.match(said, /a1 had no device .* its controller makes another/)
    assert.match(said, /cannot allocate unregistered device/)
  },
)

function rig() {
  const metrics = new AttacherMetrics()
  const events: string[] = []
  const record = (about: { readonly name: string }, _type: string, reason: string) =>
    void events.push(`${about.name} ${reason}`)
  const rejected = new RejectedPods({ record }, metrics)
  const count = async () =>
    (await metrics.rejectedPods.get()).values.map(({ labels, value }) => [labels.resource, value])
  return { rejected, events, count }
}

const podWith = (status: object) => parsePod({ metadata: { namespace: 'cnf', name: 'a', uid: 'u' }, spec: {}, status })

test('it is counted once, however many of its claims are freed', async () => {
  const { rejected, events, count } = rig()
  const pod = podWith({ phase: 'Failed', reason: 'UnexpectedAdmissionError', message })
  rejected.claimFreed(pod, resource)
  rejected.claimFreed(pod, resource)
  assert.deepEqual(await count(), [[resource, 1]])
  assert.deepEqual(events, ['a DeviceNotReady'])
})

test('the kubelet may also find the resource short: OutOf and its name', async () => {
  const { rejected, events } = rig()
  rejected.claimFreed(
    podWith({ phase: 'Failed', reason: `OutOf${resource}`, message: 'Node did not have enough' }),
    resource,
  )
  assert.deepEqual(events, ['a DeviceNotReady'])
})

test('a pod that ended otherwise, or was refused for something else, is none', async () => {
  const { rejected, events, count } = rig()
  const gpu = 'Allocate failed due to no healthy devices present; cannot allocate unhealthy devices nvidia.com/gpu'
  for (const status of [
    { phase: 'Failed', reason: 'Evicted', message: `usage of ${resource}` },
    { phase: 'Failed', reason: 'UnexpectedAdmissionError', message: gpu },
    { phase: 'Failed', reason: 'OutOfcpu', message: 'Node did not have enough resource: cpu' },
    { phase: 'Succeeded' },
  ]) {
    rejected.claimFreed(podWith(status), resource)
  }
  assert.deepEqual(events, [])
  assert.deepEqual(await count(), [])
})
