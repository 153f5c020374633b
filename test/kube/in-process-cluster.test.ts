// InProcessCluster: what a test with its own clock relies on, beyond the behaviour table: nothing is left to chance or to real time,
// errors are those of the real client, and a watch can lag, lose events and break.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'

import { newAttachment } from '../../src/api/eni-attachment.ts'
import { Cluster, type KubeClient } from '../../src/kube/cluster.ts'
import { Informer } from '../../src/kube/informer.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import { attachmentPath, attachmentsPath, nodesPath } from '../../src/kube/resource.ts'
import { ApiDouble } from '../kube-api/api-double.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import { InProcessCluster } from '../kube-api/in-process-cluster.ts'
import type { KubeObject } from '../kube-api/resources.ts'
import { ManualClock } from '../process/manual-clock.ts'

const spec = { nodeENI: 'upf', nodeName: 'node-1', instanceID: 'i-1' }
const claim = { namespace: 'cnf', name: 'upf-0', uid: 'uid-0' }
/** All that is ready to run has run. */
const settled = () => new Promise(setImmediate)

function world() {
  const clock = new ManualClock()
  const api = new ApiDouble({ clock })
  const client: KubeClient = new InProcessCluster(api)
  return { clock, api, client, attachments: api.store('eniattachments') }
}

function create(client: KubeClient, name: string): Promise<KubeObject> {
  return client.request<KubeObject>('POST', attachmentsPath, { body: newAttachment(name, spec) })
}

/** Reads until the watch ends; `outcome` is undefined when it ended well. */
function reader(client: KubeClient, path: string, query: Record<string, string | number | boolean> = {}) {
  const seen: string[] = []
  const abort = new AbortController()
  const read = async () => {
    for await (const { type, object } of client.lines(path, { query: { watch: true, ...query }, signal: abort.signal }))
      seen.push(`${type} ${object.metadata?.name ?? ''}`.trim())
  }
  const outcome = read().catch((error: unknown) => error)
  return { seen, outcome, stop: () => abort.abort() }
}

async function errorOf(request: Promise<unknown>): Promise<KubeError> {
  const error = await request.then(
    () => assert.fail('not refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof KubeError, String(error))
  return error
}

test('two runs of the same test see the same uids, names, versions and times', async () => {
  const run = async () => {
    const { clock, client } = world()
    const first = await create(client, 'a')
    clock.advance(90_000)
    const second = await client.request<KubeObject>('POST', '/api/v1/namespaces/default/events', {
      body: { metadata: { generateName: 'a.' } },
    })
    const deleted = await client.request<KubeObject>('DELETE', attachmentPath('a'))
    return [first, second, deleted].map(({ metadata }) => metadata)
  }
  const [first, second, deleted] = await run()
  assert.deepEqual(await run(), [first, second, deleted])
  assert.equal(first?.creationTimestamp, '2026-01-01T00:00:00Z')
  assert.equal(second?.creationTimestamp, '2026-01-01T00:01:30Z')
  assert.equal(deleted?.deletionTimestamp, '2026-01-01T00:01:30Z')
})

test('an answer belongs to its reader, a body to its writer', async () => {
  const { client, attachments } = world()
  const body = { ...newAttachment('a', spec), spec: { ...spec, resourceName: undefined, claim: { ...claim } } }
  const creating = client.request<KubeObject>('POST', attachmentsPath, { body })
  body.spec.claim.name = 'changed after it was sent'
  const answer = await creating
  const expected = { ...spec, claim }
  assert.deepEqual(answer['spec'], expected, 'without what is undefined')
  Object.assign(answer['spec'] as object, { nodeName: 'changed by its reader' })
  assert.deepEqual(attachments.get('a')?.['spec'], expected)
})

test('an object of the store cannot be changed by mistake', async () => {
  const { client, attachments } = world()
  await create(client, 'a')
  const stored = attachments.get('a') ?? assert.fail()
  assert.throws(() => Object.assign(stored['spec'] as object, { nodeName: 'b' }), TypeError)
})

test('a refusal is the same error as over HTTP', async (t) => {
  const server = await FakeApiServer.start()
  t.after(() => server.stop())
  const refusals = async (client: KubeClient) => {
    await create(client, 'a')
    const errors = [
      await errorOf(create(client, 'a')),
      await errorOf(client.request('GET', attachmentPath('b'))),
      await errorOf(client.request('PATCH', attachmentPath('a'), { as: 'merge', body: { metadata: { uid: 'b' } } })),
      await errorOf(client.request('DELETE', attachmentsPath)),
      await errorOf(client.request('GET', '/invented')),
    ]
    return errors.map(({ name, code, reason, message }) => ({ name, code, reason, message }))
  }
  assert.deepEqual(await refusals(world().client), await refusals(new Cluster(server.kubeconfig)))
})

test('a disturbed request is done or not, and its answer does not come', async () => {
  const { api, client, attachments } = world()
  api.disturb = () => ({ when: 'before', answer: 503 })
  assert.equal((await errorOf(create(client, 'a'))).code, 503)
  api.disturb = () => ({ when: 'before', answer: 'reset' })
  assert.equal((await errorOf(create(client, 'a'))).code, 0)
  assert.equal(attachments.get('a'), undefined)
  api.disturb = () => ({ when: 'after', answer: 'reset' })
  const { code, reason } = await errorOf(create(client, 'a'))
  assert.deepEqual([code, reason], [0, 'Unreachable'])
  assert.notEqual(attachments.get('a'), undefined)
})

test('a request that is aborted on its way is not done, one whose answer is on its way is', async () => {
  const { client, attachments } = world()
  const abortAfter = async (turns: number) => {
    const abort = new AbortController()
    const body = newAttachment('a', spec)
    const error = errorOf(client.request('POST', attachmentsPath, { body, signal: abort.signal }))
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    abort.abort()
    assert.equal((await error).code, 0)
  }
  await abortAfter(0)
  assert.equal(attachments.get('a'), undefined)
  await abortAfter(2)
  assert.notEqual(attachments.get('a'), undefined)
})

test('a watch that breaks is an error for its reader, as over HTTP; one that is refused says why', async (t) => {
  const server = await FakeApiServer.start()
  t.after(() => server.stop())
  const { api, client } = world()
  for (const [double, door] of [
    [api, client],
    [server, new Cluster(server.kubeconfig)],
  ] as const) {
    double.store('nodes').create({ metadata: { name: 'a' } })
    const broken = reader(door, nodesPath)
    while (broken.seen.length === 0) await settled()
    double.breakWatches()
    const outcome = await broken.outcome
    assert.ok(outcome instanceof KubeError)
    assert.match(outcome.message, /^GET \/api\/v1\/nodes: answer was cut off: \S+/)
    double.disturb = () => ({ when: 'before', answer: 503 })
    const refused = await reader(door, nodesPath).outcome
    assert.ok(refused instanceof KubeError)
    assert.equal(refused.code, 503)
    double.disturb = () => undefined
  }
})

test('dropped events are not told, the watch breaks with the last of them, and the next one tells them', async () => {
  const { api, client } = world()
  const first = await create(client, 'a')
  const { seen, outcome } = reader(client, attachmentsPath, { resourceVersion: first.metadata.resourceVersion })
  await create(client, 'b')
  await settled()
  api.dropEvents(2)
  await create(client, 'c')
  await settled()
  assert.deepEqual(seen, ['ADDED b'])
  const last = await create(client, 'd')
  assert.ok((await outcome) instanceof KubeError)
  assert.deepEqual(seen, ['ADDED b'])
  const next = reader(client, attachmentsPath, { resourceVersion: first.metadata.resourceVersion })
  await settled()
  assert.deepEqual(next.seen, ['ADDED b', 'ADDED c', 'ADDED d'])
  next.stop()
  assert.equal(last.metadata.name, 'd')
})

test('events take as long as the test says, and none overtakes another', async () => {
  const { clock, api, client } = world()
  const { seen, stop, outcome } = reader(client, attachmentsPath)
  await settled()
  api.watchDelayMs = 1_000
  await create(client, 'a')
  api.watchDelayMs = 0
  await create(client, 'b')
  await settled()
  assert.deepEqual(seen, ['ADDED a'])
  clock.advance(1_000)
  await settled()
  assert.deepEqual(seen, ['ADDED a', 'ADDED b'])
  stop()
  await outcome
})

test('events that are on their way when the watch breaks are lost', async () => {
  const { clock, api, client } = world()
  const { seen, outcome } = reader(client, attachmentsPath)
  await settled()
  api.watchDelayMs = 1_000
  await create(client, 'a')
  api.breakWatches()
  clock.advance(1_000)
  await outcome
  assert.deepEqual(seen, [])
  assert.deepEqual(clock.delays, [])
})

test('a watch gets a bookmark a minute when it asks for them, and ends after its time', async () => {
  const { clock, client } = world()
  const bookmarked = reader(client, attachmentsPath, { allowWatchBookmarks: true, timeoutSeconds: 150 })
  const plain = reader(client, attachmentsPath, { timeoutSeconds: 150 })
  await settled()
  clock.advance(149_999)
  await settled()
  assert.deepEqual([bookmarked.seen, plain.seen], [['BOOKMARK', 'BOOKMARK'], []])
  clock.advance(1)
  assert.deepEqual(await Promise.all([bookmarked.outcome, plain.outcome]), [undefined, undefined])
  assert.deepEqual(clock.delays, [])
})

test('a bookmark is the version from which a quiet watch can go on', async () => {
  const { clock, api, client } = world()
  const lines = client.lines(attachmentsPath, {
    query: { watch: true, allowWatchBookmarks: true },
    signal: new AbortController().signal,
  })
  const next = lines.next()
  await settled()
  api.forgetHistory()
  const { metadata } = api.store('nodes').create({ metadata: { name: 'a' } })
  clock.advance(60_000)
  const { value } = await next
  assert.equal(value.object.metadata.resourceVersion, metadata.resourceVersion)
  await lines.return(undefined)
})

function informed(t: TestContext, client: KubeClient, clock: ManualClock): Informer<KubeObject> {
  const log = pino({ level: 'silent' })
  const parse = (raw: unknown) => raw as KubeObject
  const informer = new Informer<KubeObject>({ cluster: client, path: attachmentsPath, parse, log, clock })
  const abort = new AbortController()
  const running = informer.run(abort.signal)
  t.after(async () => {
    abort.abort()
    await running
  })
  return informer
}

test('an informer has in the end what the server has, whatever its watches lose', async (t) => {
  const { clock, api, client, attachments } = world()
  const informer = informed(t, client, clock)
  await informer.synced
  const mishaps = [
    () => api.dropEvents(1),
    () => api.breakWatches(),
    () => {
      api.dropEvents(1)
      api.forgetHistory()
    },
    () => {
      api.watchDelayMs = 500
    },
  ]
  for (const [round, mishap] of mishaps.entries()) {
    mishap()
    await create(client, `${round}-kept`)
    attachments.delete((await create(client, `${round}-gone`)).metadata.name)
    const removeFinalizers = { metadata: { finalizers: null } }
    await client.request('PATCH', attachmentPath(`${round}-gone`), { as: 'merge', body: removeFinalizers })
    // Long enough for its longest first waits, and shorter than that of a stalled watch.
    for (let second = 0; second < 20; second++) {
      await settled()
      clock.advance(1_000)
    }
    await settled()
    assert.deepEqual([...informer.values()].map(({ metadata }) => metadata.name).sort(), namesOf(attachments.list()))
  }
})

test('nothing waits for real time', async (t) => {
  const timers = t.mock.method(globalThis, 'setTimeout')
  const { clock, api, client } = world()
  const { seen, stop, outcome } = reader(client, attachmentsPath, { allowWatchBookmarks: true, timeoutSeconds: 290 })
  api.watchDelayMs = 10
  await create(client, 'a')
  clock.advance(60_000)
  await settled()
  stop()
  await outcome
  assert.deepEqual(seen, ['ADDED a'])
  assert.equal(timers.mock.callCount(), 0)
})

const namesOf = (objects: readonly KubeObject[]) => objects.map(({ metadata }) => metadata.name).sort()
