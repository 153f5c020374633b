// LeaderLease: at no time do two lead, and nobody waits longer than the lease says.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'

import { Cluster } from '../../src/kube/cluster.ts'
import { LeaderLease } from '../../src/kube/leader-lease.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import { scriptedServer, sendJson } from './scripted-server.ts'

const log = pino({ level: 'silent' })
const name = { namespace: 'jit-eni', name: 'attacher' }
const timing = { durationMs: 1_000, retryMs: 5 }
const key = 'jit-eni/attacher'

interface LeaseSpec {
  readonly holderIdentity: string
  readonly leaseTransitions: number
}

async function apiServer(t: TestContext): Promise<FakeApiServer> {
  const api = await FakeApiServer.start()
  t.after(() => api.stop())
  return api
}

const leaseOf = (api: FakeApiServer) => api.store('leases').get(key)?.['spec'] as LeaseSpec | undefined

/** Moves performance.now, the clock of leases, ahead of real time. */
function clockAhead(t: TestContext): { advance: (ms: number) => void } {
  let ahead = 0
  const real = performance.now.bind(performance)
  t.mock.method(performance, 'now', () => real() + ahead)
  return { advance: (ms) => (ahead += ms) }
}

/** A candidate that leads until it is stopped. */
function candidate(t: TestContext, kubeconfig: string, identity: string, leaders: Set<string> = new Set()) {
  const lease = new LeaderLease(new Cluster(kubeconfig), { ...name, ...timing, identity }, log)
  const abort = new AbortController()
  const leading = Promise.withResolvers<void>()
  const ended = lease.run(abort.signal, async (signal) => {
    leaders.add(identity)
    assert.equal(leaders.size, 1, `${[...leaders].join(' and ')} lead at once`)
    leading.resolve()
    await aborted(signal)
    leaders.delete(identity)
  })
  const stop = async () => {
    abort.abort()
    await ended.catch(() => undefined)
  }
  t.after(stop)
  return { leading: leading.promise, ended, stop }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}

async function requestsAfter(api: FakeApiServer, count: number): Promise<void> {
  const enough = api.requests.length + count
  while (api.requests.length < enough) await new Promise(setImmediate)
}

test('of two candidates one leads; the other takes over as soon as the first has stopped', async (t) => {
  const api = await apiServer(t)
  const leaders = new Set<string>()
  const first = candidate(t, api.kubeconfig, 'first', leaders)
  await first.leading
  const second = candidate(t, api.kubeconfig, 'second', leaders)
  await requestsAfter(api, 12)
  assert.deepEqual([...leaders], ['first'])
  await first.stop()
  await second.leading
  assert.deepEqual([...leaders], ['second'])
  assert.partialDeepStrictEqual(leaseOf(api), { holderIdentity: 'second', leaseTransitions: 2 })
})

test('candidates that see a free lease at the same moment do not both get it', async (t) => {
  const api = await apiServer(t)
  const leaders = new Set<string>()
  const candidates = ['a', 'b', 'c'].map((identity) => candidate(t, api.kubeconfig, identity, leaders))
  await Promise.race(candidates.map(({ leading }) => leading))
  await requestsAfter(api, 12)
  assert.equal(leaders.size, 1)
})

test('a candidate that another was faster than between its read and its write does not lead', async (t) => {
  const api = await apiServer(t)
  const spec = { holderIdentity: '', leaseDurationSeconds: 15, renewTime: '0' }
  api.store('leases').create({ metadata: name, spec })
  api.disturb = ({ method }) => {
    if (method === 'PUT')
      api.store('leases').update(key, (lease) => ({ ...lease, spec: { ...spec, holderIdentity: 'faster' } }))
    return undefined
  }
  const leaders = new Set<string>()
  candidate(t, api.kubeconfig, 'slower', leaders)
  await requestsAfter(api, 5)
  assert.equal(leaseOf(api)?.holderIdentity, 'faster')
  assert.equal(leaders.size, 0)
})

test('the lease of a holder that died is taken once it was not renewed for its whole duration, and not before', async (t) => {
  const clock = clockAhead(t)
  const api = await apiServer(t)
  const spec = { holderIdentity: 'dead', leaseDurationSeconds: 15, renewTime: '2020-01-01T00:00:00.000000Z' }
  api.store('leases').create({ metadata: name, spec })
  const second = candidate(t, api.kubeconfig, 'second')
  await requestsAfter(api, 3)
  clock.advance(10_000)
  await requestsAfter(api, 3)
  assert.equal(leaseOf(api)?.holderIdentity, 'dead')
  clock.advance(6_000)
  await second.leading
  assert.equal(leaseOf(api)?.holderIdentity, 'second')
})

test('a lease that is renewed is not taken, however long it lasts', async (t) => {
  const clock = clockAhead(t)
  const api = await apiServer(t)
  const spec = { holderIdentity: 'alive', leaseDurationSeconds: 15, renewTime: '0' }
  api.store('leases').create({ metadata: name, spec })
  candidate(t, api.kubeconfig, 'second')
  for (let renewal = 1; renewal < 5; renewal++) {
    await requestsAfter(api, 3)
    clock.advance(10_000)
    api.store('leases').update(key, (lease) => ({ ...lease, spec: { ...spec, renewTime: String(renewal) } }))
  }
  await requestsAfter(api, 3)
  assert.equal(leaseOf(api)?.holderIdentity, 'alive')
})

test('a leader that cannot renew stops leading before anybody else may start', async (t) => {
  const clock = clockAhead(t)
  const api = await apiServer(t)
  const leaders = new Set<string>()
  const first = candidate(t, api.kubeconfig, 'first', leaders)
  await first.leading
  api.disturb = () => ({ when: 'before', answer: 500 })
  await requestsAfter(api, 2)
  assert.deepEqual([...leaders], ['first'])
  clock.advance((timing.durationMs * 2) / 3)
  await assert.rejects(first.ended, /lost the leader lease attacher/)
  assert.deepEqual([...leaders], [])
})

test('a renewal that hangs does not keep a leader beyond its lease', { timeout: 10_000 }, async (t) => {
  let calls = 0
  const server = await scriptedServer(t, (_url, { method }, response) => {
    calls += 1
    if (calls <= 2) sendJson(response, method === 'GET' ? 404 : 201, {})
  })
  const first = candidate(t, server.kubeconfig, 'first')
  await first.leading
  await assert.rejects(first.ended, /lost the leader lease attacher/)
})

test('work that does not end when the lease is lost is not waited for', { timeout: 5_000 }, async (t) => {
  const clock = clockAhead(t)
  const api = await apiServer(t)
  const lease = new LeaderLease(new Cluster(api.kubeconfig), { ...name, ...timing, identity: 'first' }, log)
  const stopped = Promise.withResolvers<void>()
  const leading = Promise.withResolvers<void>()
  const ended = lease.run(t.signal, async (signal) => {
    signal.addEventListener('abort', () => stopped.resolve())
    leading.resolve()
    await new Promise(() => undefined)
  })
  await leading.promise
  api.disturb = () => ({ when: 'before', answer: 500 })
  clock.advance(timing.durationMs)
  await assert.rejects(ended, /lost the leader lease attacher/)
  await stopped.promise
})

test('the lease counts from before it was asked for: an answer that comes late leaves less of it', async (t) => {
  const clock = clockAhead(t)
  const api = await apiServer(t)
  const spec = { holderIdentity: '', leaseDurationSeconds: 60, renewTime: '0' }
  api.store('leases').create({ metadata: name, spec })
  api.disturb = ({ method }) => {
    if (method === 'PUT') {
      clock.advance(40_000)
      api.disturb = () => ({ when: 'before', answer: 500 })
    }
    return undefined
  }
  const options = { ...name, retryMs: 5, durationMs: 60_000, identity: 'first' }
  const signal = AbortSignal.any([t.signal, AbortSignal.timeout(3_000)])
  const ended = new LeaderLease(new Cluster(api.kubeconfig), options, log).run(signal, aborted)
  await assert.rejects(ended, /lost the leader lease attacher/)
})

test('a leader that is stopped keeps its lease until its work has ended', async (t) => {
  const api = await apiServer(t)
  const leading = Promise.withResolvers<void>()
  const work = Promise.withResolvers<void>()
  const abort = new AbortController()
  const lease = new LeaderLease(new Cluster(api.kubeconfig), { ...name, ...timing, identity: 'first' }, log)
  const ended = lease.run(abort.signal, () => {
    leading.resolve()
    return work.promise
  })
  await leading.promise
  abort.abort()
  const before = api.requests.length
  while (!api.requests.slice(before).some(({ method }) => method === 'PUT')) await new Promise(setImmediate)
  assert.equal(leaseOf(api)?.holderIdentity, 'first')
  work.resolve()
  await ended
  assert.equal(leaseOf(api)?.holderIdentity, '')
})

test('a leader that loses the lease to another writer stops', async (t) => {
  const clock = clockAhead(t)
  const api = await apiServer(t)
  const first = candidate(t, api.kubeconfig, 'first')
  await first.leading
  const spec = { ...leaseOf(api), holderIdentity: 'other', leaseDurationSeconds: 15 }
  api.store('leases').update(key, (lease) => ({ ...lease, spec }))
  await requestsAfter(api, 2)
  clock.advance(timing.durationMs)
  await assert.rejects(first.ended, /lost the leader lease attacher/)
  assert.equal(leaseOf(api)?.holderIdentity, 'other')
})

test('work that fails gives the lease back, and nobody renews it any more', async (t) => {
  const api = await apiServer(t)
  const lease = new LeaderLease(new Cluster(api.kubeconfig), { ...name, ...timing, identity: 'first' }, log)
  const failing = lease.run(t.signal, () => Promise.reject(new Error('EC2 says no')))
  await assert.rejects(failing, /EC2 says no/)
  assert.equal(leaseOf(api)?.holderIdentity, '')
  const before = api.requests.length
  await candidate(t, api.kubeconfig, 'second').leading
  const renewals = api.requests.slice(before).map(({ body }) => (body as { spec?: LeaseSpec } | undefined)?.spec)
  assert.ok(renewals.every((spec) => spec === undefined || spec.holderIdentity === 'second'))
})

test('a candidate that is stopped while it waits ends without an error and leaves the lease alone', async (t) => {
  const api = await apiServer(t)
  const spec = { holderIdentity: 'other', leaseDurationSeconds: 15, renewTime: '0' }
  api.store('leases').create({ metadata: name, spec })
  const abort = new AbortController()
  const lease = new LeaderLease(new Cluster(api.kubeconfig), { ...name, ...timing, identity: 'first' }, log)
  const ended = lease.run(abort.signal, () => assert.fail('leads'))
  await requestsAfter(api, 2)
  abort.abort()
  await ended
  assert.equal(leaseOf(api)?.holderIdentity, 'other')
})
