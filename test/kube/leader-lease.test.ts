// LeaderLease: at no time do two lead, and nobody waits longer than the lease says.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import type { KubeClient } from '../../src/kube/cluster.ts'
import { LeaderLease } from '../../src/kube/leader-lease.ts'
import { sleep } from '../../src/process/clock.ts'
import { ApiDouble } from '../kube-api/api-double.ts'
import { InProcessCluster } from '../kube-api/in-process-cluster.ts'

const log = pino({ level: 'silent' })
const name = { namespace: 'jit-eni', name: 'attacher' }
const durationMs = 15_000
const retryMs = 2_000
/** The longest wait between two looks of a candidate. */
const lookMs = retryMs * 2.2
/** From the last renewal. */
const deadlineMs = 10_000
const key = 'jit-eni/attacher'

interface LeaseSpec {
  readonly holderIdentity: string
  readonly leaseTransitions: number
}

class LeaseUnderTest {
  readonly clock = new VirtualClock()
  readonly api = new ApiDouble({ clock: this.clock })
  readonly client: KubeClient = new InProcessCluster(this.api)
  readonly leaders = new Set<string>()
  readonly #test: TestContext

  constructor(t: TestContext) {
    this.#test = t
  }

  get spec(): LeaseSpec | undefined {
    return this.api.store('leases').get(key)?.['spec'] as LeaseSpec | undefined
  }

  /** Somebody else holds it. */
  heldBy(holderIdentity: string, leaseDurationSeconds = durationMs / 1000): void {
    const spec = { holderIdentity, leaseDurationSeconds, renewTime: '2020-01-01T00:00:00.000000Z' }
    this.api.store('leases').create({ metadata: name, spec })
  }

  change(spec: object): void {
    this.api.store('leases').update(key, (lease) => ({ ...lease, spec: { ...this.spec, ...spec } }))
  }

  /** Leads until it is stopped, or else does `work`. */
  candidate(identity: string, work = aborted, client: Pick<KubeClient, 'request'> = this.client) {
    const lease = new LeaderLease(client, { ...name, durationMs, retryMs, identity }, log, this.clock)
    const abort = new AbortController()
    const ended = lease.run(abort.signal, async (signal) => {
      this.leaders.add(identity)
      assert.equal(this.leaders.size, 1, `${[...this.leaders].join(' and ')} lead at once`)
      await work(signal)
      this.leaders.delete(identity)
    })
    // A test that waits for it sees the error all the same.
    ended.catch(() => undefined)
    this.#test.after(() => abort.abort())
    return { lease, ended, stop: () => abort.abort() }
  }

  async until(leader: string, limitMs: number): Promise<void> {
    await this.clock.until(() => this.leaders.has(leader), limitMs)
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}

const never = () => new Promise<never>(() => undefined)

test('of two candidates one leads; the other takes over as soon as the first has stopped', async (t) => {
  const under = new LeaseUnderTest(t)
  const first = under.candidate('first')
  await under.until('first', 0)
  under.candidate('second')
  await under.clock.advance(10 * durationMs)
  assert.deepEqual([...under.leaders], ['first'])
  first.stop()
  await under.until('second', lookMs)
  assert.deepEqual([...under.leaders], ['second'])
  assert.partialDeepStrictEqual(under.spec, { holderIdentity: 'second', leaseTransitions: 2 })
})

test('candidates that see a free lease at the same moment do not both get it', async (t) => {
  const under = new LeaseUnderTest(t)
  for (const identity of ['a', 'b', 'c']) under.candidate(identity)
  await under.clock.advance(2 * durationMs)
  assert.equal(under.leaders.size, 1)
})

test('candidates that began together do not go on asking together', async (t) => {
  const under = new LeaseUnderTest(t)
  under.heldBy('other', 3_600)
  const asked: number[][] = [[], []]
  for (const times of asked) {
    const request: KubeClient['request'] = (...args) => {
      times.push(under.clock.monotonic())
      return under.client.request(...args)
    }
    under.candidate(`with ${times.length}`, aborted, { request })
  }
  await under.clock.advance(60_000)
  for (const times of asked) {
    const waits = times.slice(1).map((time, i) => time - (times[i] ?? 0))
    assert.ok(waits.length > 60_000 / lookMs - 1)
    assert.ok(waits.every((ms) => ms >= retryMs && ms <= lookMs))
  }
  assert.notDeepEqual(asked[0]?.slice(1), asked[1]?.slice(1))
})

test('a candidate that another was faster than between its read and its write does not lead', async (t) => {
  const under = new LeaseUnderTest(t)
  under.heldBy('')
  under.api.disturb = ({ method }) => {
    if (method === 'PUT') under.change({ holderIdentity: 'faster' })
    return undefined
  }
  under.candidate('slower')
  await under.clock.advance(durationMs)
  assert.equal(under.spec?.holderIdentity, 'faster')
  assert.equal(under.leaders.size, 0)
})

test('the lease of a holder that died is taken once it was not renewed for its whole duration, and not before', async (t) => {
  const under = new LeaseUnderTest(t)
  under.heldBy('dead')
  under.candidate('second')
  await under.clock.advance(durationMs)
  assert.equal(under.spec?.holderIdentity, 'dead')
  await under.until('second', lookMs)
  assert.equal(under.spec?.holderIdentity, 'second')
})

test('a lease that is renewed is not taken, however long it lasts', async (t) => {
  const under = new LeaseUnderTest(t)
  under.heldBy('alive')
  under.candidate('second')
  for (let renewal = 1; renewal < 5; renewal++) {
    await under.clock.advance(10_000)
    under.change({ renewTime: String(renewal) })
  }
  await under.clock.advance(10_000)
  assert.equal(under.spec?.holderIdentity, 'alive')
})

test('a leader that cannot renew stops leading before anybody else may start', async (t) => {
  const under = new LeaseUnderTest(t)
  const first = under.candidate('first')
  await under.until('first', 0)
  under.api.disturb = () => ({ when: 'before', answer: 500 })
  await under.clock.advance(deadlineMs - 1)
  assert.deepEqual([...under.leaders], ['first'])
  await under.clock.advance(1)
  await assert.rejects(first.ended, /lost the leader lease attacher/)
  assert.deepEqual([...under.leaders], [])
})

test('a renewal that hangs does not keep a leader beyond its lease', async (t) => {
  const under = new LeaseUnderTest(t)
  let hangs = false
  const request: KubeClient['request'] = async (method, path, options) => {
    if (hangs) await aborted(options?.signal ?? assert.fail('without a signal'))
    return under.client.request(method, path, options)
  }
  const first = under.candidate('first', aborted, { request })
  await under.until('first', 0)
  hangs = true
  await under.clock.advance(deadlineMs - 1)
  assert.deepEqual([...under.leaders], ['first'])
  await under.clock.advance(1)
  await assert.rejects(first.ended, /lost the leader lease attacher/)
})

test('work that does not end when the lease is lost is not waited for', async (t) => {
  const under = new LeaseUnderTest(t)
  let isStopped = false
  const first = under.candidate('first', (signal) => {
    signal.addEventListener('abort', () => (isStopped = true))
    return never()
  })
  await under.until('first', 0)
  under.api.disturb = () => ({ when: 'before', answer: 500 })
  await under.clock.advance(deadlineMs)
  await assert.rejects(first.ended, /lost the leader lease attacher/)
  assert.ok(isStopped)
})

test('the lease counts from before it was asked for: an answer that comes late leaves less of it', async (t) => {
  const under = new LeaseUnderTest(t)
  const lateMs = 8_000
  const request: KubeClient['request'] = async (method, path, options) => {
    const answer = await under.client.request(method, path, options)
    if (method === 'POST') await sleep(under.clock, lateMs, t.signal)
    return answer as never
  }
  const first = under.candidate('first', aborted, { request })
  await under.until('first', lateMs)
  under.api.disturb = () => ({ when: 'before', answer: 500 })
  await under.clock.advance(deadlineMs - lateMs)
  await assert.rejects(first.ended, /lost the leader lease attacher/)
})

test('a leader that is stopped keeps its lease until its work has ended', async (t) => {
  const under = new LeaseUnderTest(t)
  const work = Promise.withResolvers<void>()
  const first = under.candidate('first', () => work.promise)
  under.candidate('second')
  await under.until('first', 0)
  first.stop()
  await under.clock.advance(2 * durationMs)
  assert.equal(under.spec?.holderIdentity, 'first')
  work.resolve()
  await first.ended
  assert.equal(under.spec?.holderIdentity, '')
})

test('a leader that loses the lease to another writer stops', async (t) => {
  const under = new LeaseUnderTest(t)
  const first = under.candidate('first')
  await under.until('first', 0)
  under.change({ holderIdentity: 'other' })
  await under.clock.advance(deadlineMs)
  await assert.rejects(first.ended, /lost the leader lease attacher/)
  assert.equal(under.spec?.holderIdentity, 'other')
})

test('work that fails gives the lease back, and nobody renews it any more', async (t) => {
  const under = new LeaseUnderTest(t)
  const failing = under.candidate('first', () => Promise.reject(new Error('EC2 says no')))
  await assert.rejects(failing.ended, /EC2 says no/)
  assert.equal(under.spec?.holderIdentity, '')
  under.leaders.clear()
  const before = under.api.requests.length
  under.candidate('second')
  await under.until('second', 0)
  await under.clock.advance(durationMs)
  const renewals = under.api.requests.slice(before).map(({ body }) => (body as { spec?: LeaseSpec } | undefined)?.spec)
  assert.ok(renewals.every((spec) => spec === undefined || spec.holderIdentity === 'second'))
})

test('a candidate that is stopped while it waits ends without an error and leaves the lease alone', async (t) => {
  const under = new LeaseUnderTest(t)
  under.heldBy('other')
  const first = under.candidate('first', () => assert.fail('leads'))
  await under.clock.advance(lookMs)
  first.stop()
  await first.ended
  assert.equal(under.spec?.holderIdentity, 'other')
})

test('who cannot read the lease could not take over, and says why until he can', async (t) => {
  const under = new LeaseUnderTest(t)
  under.heldBy('other')
  under.api.disturb = () => ({ when: 'before', answer: 403 })
  const { lease } = under.candidate('first', () => assert.fail('leads'))
  assert.equal(lease.trouble, 'the leader lease has not been read yet')
  await under.clock.advance(lookMs)
  assert.match(lease.trouble ?? '', /the leader lease attacher is not to be had: GET .*as the test ordered/)
  under.api.disturb = () => undefined
  await under.clock.advance(lookMs)
  assert.equal(lease.trouble, undefined)
})
