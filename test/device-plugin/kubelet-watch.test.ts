// Looks at the kubelet: quick while somebody waits for one, once a second otherwise, and never during an Allocate.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { pino } from 'pino'

import { AllocateGate } from '../../src/device-plugin/allocate-gate.ts'
import { KubeletWatch } from '../../src/device-plugin/kubelet-view.ts'
import { deviceKey, doubtMs, Occupancy } from '../../src/device-plugin/occupancy.ts'
import { type PodResources, RateLimited } from '../../src/device-plugin/pod-resources.ts'
import { resource } from './cluster-in-memory.ts'
import { HandClock } from './hand-clock.ts'

const key = deviceKey(resource, '0000:00:06.0')
const holder = { namespace: 'core', name: 'upf-0' }
const { signal } = new AbortController()

interface Kubelet {
  holders: () => Promise<ReadonlyMap<string, typeof holder>>
}

function rig() {
  const lines: string[] = []
  const clock = new HandClock()
  const occupancy = new Occupancy()
  const kubelet: Kubelet = { holders: () => Promise.resolve(new Map([[key, holder]])) }
  const looks: number[] = []
  let looked = Promise.withResolvers<void>()
  const podResources: PodResources = {
    holders: () => {
      looks.push(clock.now)
      return kubelet.holders().then((holders) => ({ holders }))
    },
    allocatable: () => Promise.resolve(new Set([key])),
    holds: () => Promise.resolve('none'),
    close: () => undefined,
  }
  const gate = new AllocateGate(clock)
  const watch = new KubeletWatch({
    podResources,
    gate,
    occupancy,
    clock,
    log: pino({}, { write: (line: string) => lines.push((JSON.parse(line) as { msg: string }).msg) }),
    onLook: () => looked.resolve(),
  })
  /** Turns the clock to this time; resolves when the look that is due then, if any, has ended. */
  const at = async (now: number, awaited: string) => {
    clock.now = now
    const before = looks.length
    looked = Promise.withResolvers()
    watch.keepLooking(awaited, signal)
    // A look asks in the microtasks after it was begun.
    await new Promise(setImmediate)
    if (looks.length > before) await looked.promise
  }
  return { clock, occupancy, kubelet, gate, watch, looks, at, lines }
}

test('nobody waits: one look a second', async () => {
  const { looks, at } = rig()
  for (let now = 0; now <= 3_000; now += 100) await at(now, '')
  assert.deepEqual(looks, [0, 1_000, 2_000, 3_000])
})

test('somebody waits: the next look is after 4 ms, then after twice as long each time, at most a second', async () => {
  const { looks, at } = rig()
  for (let now = 0; now <= 4_000; now++) await at(now, 'acknowledge a')
  assert.deepEqual(
    looks.map((look, index) => look - (looks[index - 1] ?? look)),
    [0, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 1_000],
  )
})

test('something else is waited for: the pace starts again', async () => {
  const { looks, at } = rig()
  for (let now = 0; now <= 100; now++) await at(now, 'acknowledge a')
  looks.length = 0
  for (let now = 101; now <= 110; now++) await at(now, 'acknowledge b')
  assert.deepEqual(looks, [101, 105])
})

test('a look that the kubelet refuses for its rate limit changes nothing', async () => {
  const { kubelet, watch, occupancy, at } = rig()
  await at(0, '')
  const view = watch.view
  assert.ok(view)
  kubelet.holders = () => Promise.reject(new RateLimited('rejected by rate limit'))
  await at(1_000, '')
  assert.equal(watch.view, view)
  assert.deepEqual(occupancy.holderOf(key), holder)
})

test('a limit that lasts is told, once', async () => {
  const { kubelet, at, lines } = rig()
  kubelet.holders = () => Promise.reject(new RateLimited('rejected by rate limit'))
  for (let now = 0; now < 10_000; now += 1_000) await at(now, '')
  assert.deepEqual(lines, [])
  for (let now = 10_000; now < 13_000; now += 1_000) await at(now, '')
  assert.equal(lines.length, 1)
  assert.match(lines[0] ?? '', /use up its limit of calls/)
  kubelet.holders = () => Promise.resolve(new Map())
  await at(13_000, '')
  assert.deepEqual(lines.slice(1), ['kubelet answers again'])
})

test('a kubelet that does not answer is no view any more, and who comes after it may list nobody at first', async () => {
  const { kubelet, watch, occupancy, at } = rig()
  await at(0, '')
  kubelet.holders = () => Promise.reject(new Error('connection refused'))
  await at(1_000, '')
  assert.equal(watch.view, undefined)
  kubelet.holders = () => Promise.resolve(new Map())
  await at(2_000, '')
  assert.ok(watch.view)
  assert.deepEqual(occupancy.holderOf(key), holder)
  await at(1_000 + doubtMs, '')
  assert.equal(occupancy.holderOf(key), undefined)
})

test('what was asked of a kubelet before it was forgotten counts no more', async () => {
  const { kubelet, watch, clock } = rig()
  const answer = Promise.withResolvers<ReadonlyMap<string, typeof holder>>()
  kubelet.holders = () => answer.promise
  watch.keepLooking('', signal)
  await new Promise(setImmediate)
  clock.now = 1
  watch.forget()
  answer.resolve(new Map())
  await new Promise(setImmediate)
  assert.equal(watch.view, undefined)
  kubelet.holders = () => Promise.resolve(new Map())
  watch.keepLooking('', signal)
  await new Promise(setImmediate)
  assert.equal((watch.view as { startedAt: number } | undefined)?.startedAt, 1)
})

test('no List while an Allocate is open, nor for 50 ms after its answer', async () => {
  const { clock, gate, looks, at } = rig()
  let asked = Promise.withResolvers<void>()
  const gateAsks = () => {
    asked = Promise.withResolvers()
    return asked.promise
  }
  const answer = Promise.withResolvers<void>()
  const allocate = gate.during(() => answer.promise)
  await at(0, 'acknowledge a')
  assert.deepEqual(looks, [])
  answer.resolve()
  await allocate
  clock.onAsk = () => asked.resolve()
  for (const now of [10, 49]) {
    clock.now = now
    await gateAsks()
    await new Promise(setImmediate)
    assert.deepEqual(looks, [])
  }
  clock.now = 50
  await gateAsks()
  await new Promise(setImmediate)
  assert.deepEqual(looks, [50])
})
