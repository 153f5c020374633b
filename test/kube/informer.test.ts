// Informer: the cache is what the API server has, whatever happens to the way there.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'

import { Cluster } from '../../src/kube/cluster.ts'
import { Informer, type InformerOptions, notOfInterest } from '../../src/kube/informer.ts'
import { nodesPath, podsPath } from '../../src/kube/resource.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import type { KubeObject } from '../kube-api/resources.ts'
import { scriptedServer, sendJson } from './scripted-server.ts'

const log = pino({ level: 'silent' })

interface Named {
  readonly metadata: { readonly name: string; readonly labels?: Record<string, string> }
}
type Change = readonly [key: string, after: Named | undefined, before: Named | undefined]

interface Running {
  readonly informer: Informer<Named>
  readonly changes: Change[]
  readonly stop: () => Promise<void>
  /** Resolves with the first change, past or to come, for which `is` says so. */
  readonly change: (is: (change: Change) => boolean) => Promise<Change>
}

function start(t: TestContext, kubeconfig: string, options: Partial<InformerOptions<Named>> = {}): Running {
  const parse = (raw: unknown) => raw as Named
  const cluster = new Cluster(kubeconfig)
  const informer = new Informer<Named>({ cluster, path: nodesPath, parse, log, ...options })
  const changes: Change[] = []
  const look: (() => void)[] = []
  informer.onChange((...change) => {
    changes.push(change)
    for (const again of look) again()
  })
  const abort = new AbortController()
  const running = informer.run(abort.signal)
  const stop = async () => {
    abort.abort()
    await running
  }
  t.after(stop)
  const change = (is: (change: Change) => boolean) =>
    new Promise<Change>((resolve) => {
      const again = () => {
        const found = changes.find(is)
        if (found !== undefined) resolve(found)
      }
      look.push(again)
      again()
    })
  return { informer, changes, stop, change }
}

async function apiServer(t: TestContext, nodes: readonly string[] = []): Promise<FakeApiServer> {
  const api = await FakeApiServer.start()
  t.after(() => api.stop())
  for (const name of nodes) api.store('nodes').create({ metadata: { name } })
  return api
}

const names = (informer: Informer<Named>) => [...informer.values()].map(({ metadata }) => metadata.name)
const listsOf = (api: FakeApiServer) => api.requests.filter(({ query }) => !query.has('watch'))

test('a list in pages is complete before the informer says that it has synced', async (t) => {
  const api = await apiServer(
    t,
    Array.from({ length: 1_201 }, (_, n) => `node-${n}`),
  )
  const { informer, changes } = start(t, api.kubeconfig)
  assert.equal(informer.hasSynced, false)
  await informer.synced
  assert.equal(informer.hasSynced, true)
  assert.equal(names(informer).length, 1_201)
  assert.equal(changes.length, 1_201)
  assert.equal(listsOf(api).length, 3)
})

test('listeners hear what was added, changed and deleted, with what was there before', async (t) => {
  const api = await apiServer(t, ['a'])
  const { informer, change } = start(t, api.kubeconfig)
  await informer.synced
  api.store('nodes').create({ metadata: { name: 'b' } })
  const [, added, nothing] = await change(([key]) => key === 'b')
  assert.equal(nothing, undefined)
  api.store('nodes').update('b', (node) => ({ ...node, metadata: { ...node.metadata, labels: { x: 'y' } } }))
  const [, changed, before] = await change(([, after]) => after?.metadata.labels?.['x'] === 'y')
  assert.deepEqual(before, added)
  api.store('nodes').delete('b')
  const [key, after, last] = await change(([, present]) => present === undefined)
  assert.deepEqual([key, after, last], ['b', undefined, changed])
  assert.deepEqual(names(informer), ['a'])
})

test('a namespaced object is known by namespace and name', async (t) => {
  const api = await apiServer(t)
  api.store('pods').create({ metadata: { name: 'upf-0', namespace: 'cnf' } })
  const { informer } = start(t, api.kubeconfig, { path: podsPath })
  await informer.synced
  assert.equal(informer.get('cnf/upf-0')?.metadata.name, 'upf-0')
})

test('an object that the parser leaves out is not there, and one that it leaves out from now on is deleted', async (t) => {
  const api = await apiServer(t, ['a', 'b'])
  const parse = (raw: unknown) => ((raw as Named).metadata.labels?.['hidden'] ? undefined : (raw as Named))
  const { informer, change } = start(t, api.kubeconfig, { parse })
  await informer.synced
  api.store('nodes').update('a', (node) => ({ ...node, metadata: { ...node.metadata, labels: { hidden: 'x' } } }))
  await change(([key, after]) => key === 'a' && after === undefined)
  assert.deepEqual(names(informer), ['b'])
})

test('what the parser leaves out is there all the same, as long as it is, and each change of it is told', async (t) => {
  const api = await apiServer(t, ['a'])
  const hide = (hidden: string) => (node: KubeObject) => ({
    ...node,
    metadata: { ...node.metadata, labels: { hidden } },
  })
  api.store('nodes').update('a', hide('1'))
  const parse = (raw: unknown) => ((raw as Named).metadata.labels?.['hidden'] ? undefined : (raw as Named))
  const { informer, changes, change } = start(t, api.kubeconfig, { parse })
  const told = (times: number) => change(() => changes.filter(([key]) => key === 'a').length === times)
  const seen = (): Named | undefined => informer.unreadable.get('a')
  await told(1)
  assert.equal(seen()?.metadata.labels?.['hidden'], '1')
  api.store('nodes').update('a', hide('2'))
  await told(2)
  assert.equal(seen()?.metadata.labels?.['hidden'], '2')
  api.store('nodes').update('a', hide(''))
  await told(3)
  assert.deepEqual([names(informer), informer.unreadable.size], [['a'], 0])
  api.store('nodes').update('a', hide('3'))
  await told(4)
  api.store('nodes').delete('a')
  await told(5)
  assert.deepEqual([names(informer), informer.unreadable.size], [[], 0])
})

test('of what is not of interest nothing is kept, and what no longer is of interest is deleted', async (t) => {
  const api = await apiServer(t, ['a', 'b'])
  const dull = (node: KubeObject) => ({ ...node, metadata: { ...node.metadata, labels: { dull: 'x' } } })
  api.store('nodes').update('a', dull)
  const parse = (raw: unknown) => ((raw as Named).metadata.labels?.['dull'] ? notOfInterest : (raw as Named))
  const { informer, changes, change } = start(t, api.kubeconfig, { parse })
  await informer.synced
  assert.deepEqual([names(informer), informer.unreadable.size, changes.length], [['b'], 0, 1])
  api.store('nodes').update('b', dull)
  await change(([key, after]) => key === 'b' && after === undefined)
  assert.deepEqual([names(informer), informer.unreadable.size], [[], 0])
})

test('a list comes in pages of the size that is asked for', async (t) => {
  const api = await apiServer(t, ['a', 'b', 'c', 'd', 'e'])
  const { informer } = start(t, api.kubeconfig, { pageSize: 2 })
  await informer.synced
  assert.equal(names(informer).length, 5)
  assert.equal(listsOf(api).length, 3)
})

test('a field selector narrows both the list and the watch', async (t) => {
  const api = await apiServer(t, ['a', 'b'])
  const { informer, change } = start(t, api.kubeconfig, { fieldSelector: 'metadata.name=b' })
  await informer.synced
  assert.deepEqual(names(informer), ['b'])
  api.store('nodes').create({ metadata: { name: 'c' } })
  api.store('nodes').delete('b')
  await change(([, after]) => after === undefined)
  assert.deepEqual(names(informer), [])
})

test('after broken watches the cache has what changed meanwhile, and tells what was deleted', async (t) => {
  const api = await apiServer(t, ['a', 'b'])
  const { informer, change } = start(t, api.kubeconfig)
  await informer.synced
  while (!api.requests.some(({ query }) => query.has('watch'))) await new Promise(setImmediate)
  api.breakWatches()
  api.store('nodes').delete('a')
  api.store('nodes').create({ metadata: { name: 'c' } })
  const [, , before] = await change(([key, after]) => key === 'a' && after === undefined)
  assert.equal(before?.metadata.name, 'a')
  await change(([key]) => key === 'c')
  assert.deepEqual(names(informer).sort(), ['b', 'c'])
})

test('an API server that fails or resets for a while only delays the first list', async (t) => {
  const api = await apiServer(t, ['a'])
  const answers = [503, 'reset', 500] as const
  api.disturb = () => {
    const answer = answers[api.requests.length - 1]
    return answer === undefined ? undefined : { when: 'before', answer }
  }
  const { informer } = start(t, api.kubeconfig)
  await informer.synced
  assert.equal(listsOf(api).length, 4)
  assert.deepEqual(names(informer), ['a'])
})

const item = (name: string, resourceVersion: string) => ({ metadata: { name, resourceVersion } })
const list = (resourceVersion: string, items: object[]) => ({ metadata: { resourceVersion }, items })

/** One list, then a first watch that ends as told: the version from which each of the two watches went on. */
async function secondWatch(t: TestContext, endFirst: (response: ServerResponse) => void) {
  const watched: (string | null)[] = []
  const second = Promise.withResolvers<void>()
  let lists = 0
  const server = await scriptedServer(t, (url, _request, response) => {
    if (!url.searchParams.has('watch')) {
      lists += 1
      return sendJson(response, 200, list('5', [item('a', '3')]))
    }
    assert.equal(url.searchParams.get('allowWatchBookmarks'), 'true')
    watched.push(url.searchParams.get('resourceVersion'))
    if (watched.length === 2) return second.resolve()
    endFirst(response)
  })
  const running = start(t, server.kubeconfig)
  await second.promise
  return { ...running, watched, lists }
}

test('a bookmark moves the version from which the next watch goes on, and no list is made', async (t) => {
  const bookmark = { type: 'BOOKMARK', object: { metadata: { resourceVersion: '42' } } }
  const { changes, watched, lists } = await secondWatch(t, (response) => {
    response.end(`${JSON.stringify(bookmark)}\n`)
  })
  assert.deepEqual(watched, ['5', '42'])
  assert.equal(lists, 1)
  assert.equal(changes.length, 1)
})

test('a watch that is cut off goes on from where it was, and no list is made', async (t) => {
  const added = { type: 'ADDED', object: item('b', '7') }
  const { informer, watched, lists } = await secondWatch(t, (response) => {
    response.write(`${JSON.stringify(added)}\n`, () => response.destroy())
  })
  assert.deepEqual(watched, ['5', '7'])
  assert.equal(lists, 1)
  assert.deepEqual(names(informer), ['a', 'b'])
})

test('of a whole list is told its version, after all that is in it', async (t) => {
  const server = await scriptedServer(t, (url, _request, response) => {
    if (!url.searchParams.has('watch')) sendJson(response, 200, list('5', [item('a', '3')]))
  })
  const { informer, changes } = start(t, server.kubeconfig)
  const told: [version: string, changes: number][] = []
  informer.onListed((version) => told.push([version, changes.length]))
  await informer.synced
  assert.deepEqual(told, [['5', 1]])
})

for (const how of ['as the answer', 'inside the stream'] as const) {
  test(`410 ${how} to a watch makes a new list, and what is missing in it is deleted`, async (t) => {
    let lists = 0
    const closed = Promise.withResolvers<void>()
    const server = await scriptedServer(t, (url, _request, response) => {
      if (!url.searchParams.has('watch')) {
        lists += 1
        return sendJson(response, 200, lists === 1 ? list('5', [item('a', '3')]) : list('9', [item('b', '8')]))
      }
      if (lists > 1) return
      void once(response, 'close').then(() => closed.resolve())
      const status = { code: 410, reason: 'Expired', message: 'too old resource version' }
      if (how === 'as the answer') sendJson(response, 410, status)
      else response.write(`${JSON.stringify({ type: 'ERROR', object: status })}\n`)
    })
    const { informer, change } = start(t, server.kubeconfig)
    await change(([key, after]) => key === 'a' && after === undefined)
    assert.deepEqual(names(informer), ['b'])
    await closed.promise
  })
}

test('a watch without a line for longer than a bookmark takes is opened anew', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let watches = 0
  const again = Promise.withResolvers<void>()
  const watching = Promise.withResolvers<void>()
  const server = await scriptedServer(t, (url, _request, response) => {
    if (!url.searchParams.has('watch')) return sendJson(response, 200, list('5', []))
    watches += 1
    response.flushHeaders()
    if (watches === 1) watching.resolve()
    else again.resolve()
  })
  start(t, server.kubeconfig)
  await watching.promise
  t.mock.timers.tick(90_000)
  const opened = again.promise.then(() => true)
  // The back-off before it is a timer as well.
  while (!(await Promise.race([opened, new Promise<false>((resolve) => setImmediate(() => resolve(false)))])))
    t.mock.timers.tick(200)
  assert.equal(watches, 2)
})

test('a stopped informer ends its watch and asks no more', async (t) => {
  const ended = Promise.withResolvers<void>()
  const watching = Promise.withResolvers<void>()
  const server = await scriptedServer(t, (url, _request, response) => {
    if (!url.searchParams.has('watch')) return sendJson(response, 200, list('5', []))
    response.flushHeaders()
    void once(response, 'close').then(() => ended.resolve())
    watching.resolve()
  })
  const { stop } = start(t, server.kubeconfig)
  await watching.promise
  await stop()
  await ended.promise
})
