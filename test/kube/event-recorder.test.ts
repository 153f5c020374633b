// EventRecorder: says a thing once, where kubectl describe shows it, and never stands in the way.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { Cluster } from '../../src/kube/cluster.ts'
import { EventRecorder } from '../../src/kube/event-recorder.ts'
import { ApiDouble } from '../kube-api/api-double.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import { InProcessCluster } from '../kube-api/in-process-cluster.ts'
import type { KubeObject } from '../kube-api/resources.ts'
import { ManualClock } from '../process/manual-clock.ts'

const pod = { apiVersion: 'v1', kind: 'Pod', namespace: 'cnf', name: 'upf-0', uid: 'pod-1' }
const nodeENI = { apiVersion: 'networking.k8s.aws/v1alpha1', kind: 'NodeENI', name: 'upf', uid: 'neni-1' }

/** Resolves when an event with this message is there. */
async function messageWritten(api: FakeApiServer, message: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = () =>
    api
      .store('events')
      .list()
      .some((event) => event['message'] === message) && resolve()
  api.store('events').onChange(look)
  look()
  await promise
}

async function recording(t: TestContext) {
  const api = await FakeApiServer.start()
  t.after(() => api.stop())
  const clock = new ManualClock()
  const log = pino({ level: 'silent' })
  const recorder = new EventRecorder(new Cluster(api.kubeconfig), 'jit-eni-test', log, clock)
  const written = (count: number) =>
    new Promise<KubeObject[]>((resolve) => {
      const look = () => api.store('events').list().length >= count && resolve(api.store('events').list())
      api.store('events').onChange(look)
      look()
    })
  return { api, recorder, written, clock }
}

test('an event names its object, in the namespace of the object', async (t) => {
  const { recorder, written } = await recording(t)
  recorder.record(pod, 'Warning', 'NoSlot', 'no free ENI slot')
  const [event] = await written(1)
  assert.partialDeepStrictEqual(event, {
    involvedObject: pod,
    type: 'Warning',
    reason: 'NoSlot',
    message: 'no free ENI slot',
    source: { component: 'jit-eni-test' },
    count: 1,
  })
  assert.equal(event?.metadata.namespace, 'cnf')
})

test('an event on a cluster-scoped object goes to namespace default', async (t) => {
  const { recorder, written } = await recording(t)
  recorder.record(nodeENI, 'Normal', 'Ready', 'serves')
  const [event] = await written(1)
  assert.equal(event?.metadata.namespace, 'default')
})

test('an event that repeats within ten minutes is written once, one that says something else at once', async (t) => {
  const { recorder, written, clock } = await recording(t)
  const repeat = () => recorder.record(pod, 'Warning', 'NoSlot', 'no free ENI slot')
  repeat()
  clock.advance(599_999)
  repeat()
  recorder.record({ ...pod, uid: 'pod-2' }, 'Warning', 'NoSlot', 'no free ENI slot')
  recorder.record(pod, 'Warning', 'NoSlot', 'something else')
  assert.equal((await written(3)).length, 3)
  clock.advance(1)
  repeat()
  assert.equal((await written(4)).length, 4)
})

test('of very many events those that repeat are still written once', async () => {
  const clock = new VirtualClock()
  const api = new ApiDouble({ clock })
  const recorder = new EventRecorder(new InProcessCluster(api), 'jit-eni-test', pino({ level: 'silent' }), clock)
  for (let round = 0; round < 3; round++)
    for (let i = 0; i < 6_000; i++)
      recorder.record({ ...pod, uid: `pod-${i}` }, 'Warning', 'NoSlot', 'no free ENI slot')
  await clock.settle()
  assert.equal(api.store('events').list().length, 6_000)
})

test('a message is cut to what the API server takes', async (t) => {
  const { recorder, written } = await recording(t)
  recorder.record(pod, 'Normal', 'Long', 'x'.repeat(5_000))
  const [event] = await written(1)
  assert.equal(String(event?.['message']).length, 1024)
})

test('an event that cannot be written is a line in the log, not an error', async (t) => {
  const api = await FakeApiServer.start()
  t.after(() => api.stop())
  api.disturb = () => ({ when: 'before', answer: 403 })
  const line = Promise.withResolvers<string>()
  const log = pino({ level: 'warn' }, { write: line.resolve })
  new EventRecorder(new Cluster(api.kubeconfig), 'jit-eni-test', log).record(pod, 'Normal', 'Reason', 'text')
  assert.partialDeepStrictEqual(JSON.parse(await line.promise), { msg: 'event not written', object: 'upf-0' })
})

for (const [what, answer, isSaidAgain] of [
  ['an outage has swallowed is written when it is still so half a minute later', 503, true],
  ['is refused is not tried again', 403, false],
] as const) {
  test(`an event that ${what}`, async (t) => {
    const api = await FakeApiServer.start()
    t.after(() => api.stop())
    const clock = new ManualClock()
    const lost = Promise.withResolvers<void>()
    const log = pino({ level: 'warn' }, { write: () => lost.resolve() })
    const recorder = new EventRecorder(new Cluster(api.kubeconfig), 'jit-eni-test', log, clock)
    const say = () => recorder.record(pod, 'Warning', 'NoSlot', 'no free ENI slot')
    const written = () =>
      api
        .store('events')
        .list()
        .map((event) => event['reason'])
    const marked = async (marker: string) => {
      recorder.record(pod, 'Normal', 'Marker', marker)
      await messageWritten(api, marker)
    }
    api.disturb = () => ({ when: 'before', answer })
    say()
    await lost.promise
    api.disturb = () => undefined
    clock.advance(29_999)
    say()
    await marked('just before')
    assert.deepEqual(written(), ['Marker'])
    clock.advance(1)
    say()
    if (isSaidAgain) await messageWritten(api, 'no free ENI slot')
    else await marked('just after')
    assert.deepEqual(written(), ['Marker', isSaidAgain ? 'NoSlot' : 'Marker'])
  })
}
