// WorkQueue: the same key never runs twice at once, waits only once, and backs off by itself after a failure.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { pino } from 'pino'

import { WorkQueue } from '../../src/kube/work-queue.ts'
import { ManualClock } from '../process/manual-clock.ts'

const log = pino({ level: 'silent' })

/** A worker that stays in its work until the test lets it go, with the answer that the test wants. */
class HeldWorker {
  readonly started: string[] = []
  readonly #running = new Map<string, PromiseWithResolvers<number | undefined>>()

  readonly work = (key: string): Promise<number | undefined> => {
    assert.ok(!this.#running.has(key), `${key} runs twice at once`)
    this.started.push(key)
    const answer = Promise.withResolvers<number | undefined>()
    this.#running.set(key, answer)
    return answer.promise
  }

  get running(): string[] {
    return [...this.#running.keys()]
  }

  async finish(key: string, outcome?: number | Error): Promise<void> {
    const answer = this.#running.get(key)
    this.#running.delete(key)
    if (outcome instanceof Error) answer?.reject(outcome)
    else answer?.resolve(outcome)
    await new Promise(setImmediate)
  }
}

function held(t: TestContext, concurrency = 2, spacingMs = 0) {
  const worker = new HeldWorker()
  const clock = new ManualClock()
  const queue = new WorkQueue(worker.work, concurrency, log, clock, spacingMs)
  const abort = new AbortController()
  const ended = queue.run(abort.signal)
  t.after(async () => {
    abort.abort()
    for (const key of worker.running) await worker.finish(key)
    await ended
  })
  return { worker, clock, queue, abort, ended }
}

test('with spacing a key runs at once, then once for all that came in meanwhile, and other keys do not wait', async (t) => {
  const { worker, clock, queue } = held(t, 2, 250)
  queue.add('a')
  await worker.finish('a', 60_000)
  for (let added = 0; added < 4; added++) queue.add('a')
  queue.add('b')
  assert.deepEqual(worker.started, ['a', 'b'])
  clock.advance(249)
  assert.deepEqual(worker.started, ['a', 'b'])
  clock.advance(1)
  assert.deepEqual(worker.started, ['a', 'b', 'a'])
  await worker.finish('a')
  clock.advance(1_000)
  assert.deepEqual(worker.started, ['a', 'b', 'a'])
})

test('what comes in while a key runs makes it run once more, afterwards', async (t) => {
  const { worker, queue } = held(t)
  for (let added = 0; added < 4; added++) queue.add('a')
  assert.deepEqual(worker.started, ['a'])
  await worker.finish('a')
  assert.deepEqual(worker.started, ['a', 'a'])
  await worker.finish('a')
  assert.deepEqual(worker.started, ['a', 'a'])
})

test('as many keys run at once as the queue allows, the others in the order in which they came', async (t) => {
  const { worker, queue } = held(t, 2)
  for (const key of ['a', 'b', 'c', 'd']) queue.add(key)
  assert.deepEqual(worker.running, ['a', 'b'])
  await worker.finish('b')
  assert.deepEqual(worker.running, ['a', 'c'])
})

test('of thousands that are added at once only some start before others have their turn, and all start', async (t) => {
  const { worker, queue } = held(t, Infinity)
  const keys = Array.from({ length: 1_000 }, (_, i) => `upf-${i}`)
  for (const key of keys) queue.add(key)
  for (let before = 0; before < keys.length; before = worker.started.length) {
    await new Promise(setImmediate)
    const started = worker.started.length - before
    assert.ok(started > 0 && started <= 200, `${started} started within a turn`)
  }
  assert.deepEqual(worker.started, keys)
})

test('a key that is added while it rests and runs once more waits for both', async (t) => {
  const { worker, clock, queue } = held(t, 2, 250)
  queue.add('a')
  queue.add('a')
  clock.advance(250)
  assert.deepEqual(worker.started, ['a'])
  queue.addAfter('a', 1_000)
  assert.deepEqual(clock.delays, [], 'it is to run sooner')
  await worker.finish('a')
  assert.deepEqual(worker.started, ['a', 'a'])
})

test('what is added before the start waits for it', async (t) => {
  const worker = new HeldWorker()
  const queue = new WorkQueue(worker.work, 1, log, new ManualClock())
  queue.add('a')
  assert.deepEqual(worker.started, [])
  const abort = new AbortController()
  const ended = queue.run(abort.signal)
  t.after(() => ended)
  assert.deepEqual(worker.started, ['a'])
  abort.abort()
  await worker.finish('a')
})

test('a key that fails waits twice as long each time, up to a minute, and starts anew after a success', async (t) => {
  const { worker, clock, queue } = held(t)
  const waited: number[] = []
  queue.add('a')
  for (let failure = 0; failure < 10; failure++) {
    await worker.finish('a', new Error('no'))
    const [ms = 0] = clock.delays
    waited.push(ms)
    clock.advance(ms)
  }
  const doubled = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
  waited.forEach((ms, i) => assert.ok(isAbout(ms, doubled[i]), `${ms} ms after failure ${i + 1}`))
  await worker.finish('a')
  queue.add('a')
  await worker.finish('a', new Error('no'))
  assert.ok(isAbout(clock.delays[0], 250), String(clock.delays))
})

/** A quarter more or less. */
function isAbout(ms: number | undefined, wanted = NaN): boolean {
  return ms !== undefined && Math.abs(ms - wanted) <= wanted / 4
}

test('keys that fail together do not come back together', async (t) => {
  const keys = Array.from({ length: 50 }, (_, i) => `upf-${i}`)
  const { worker, clock, queue } = held(t, keys.length)
  for (const key of keys) queue.add(key)
  for (const key of keys) await worker.finish(key, new Error('no'))
  const spread = new Set(clock.delays.map((ms) => Math.round(ms / 10)))
  assert.ok(spread.size > 8, `${[...spread].join(' ')}, in hundredths of a second`)
})

test('the failures of one key do not delay another', async (t) => {
  const { worker, queue } = held(t)
  queue.add('a')
  await worker.finish('a', new Error('no'))
  queue.add('b')
  assert.deepEqual(worker.running, ['b'])
})

test('an event runs a key at once that was waiting for its time', async (t) => {
  const { worker, clock, queue } = held(t)
  queue.addAfter('a', 5_000)
  assert.deepEqual(worker.started, [])
  queue.add('a')
  assert.deepEqual(worker.started, ['a'])
  assert.deepEqual(clock.delays, [])
})

test('a worker says when it wants to run again', async (t) => {
  const { worker, clock, queue } = held(t)
  queue.add('a')
  await worker.finish('a', 30_000)
  assert.deepEqual(clock.delays, [30_000])
  clock.advance(29_999)
  assert.deepEqual(worker.started, ['a'])
  clock.advance(1)
  assert.deepEqual(worker.started, ['a', 'a'])
})

test('a stopped queue waits for what runs, starts nothing more and leaves no timer', async (t) => {
  const { worker, clock, queue, abort, ended } = held(t, 1)
  for (const key of ['a', 'b']) queue.add(key)
  queue.addAfter('c', 1_000)
  let hasEnded = false
  void ended.then(() => (hasEnded = true))
  abort.abort()
  queue.addAfter('d', 1_000)
  await new Promise(setImmediate)
  assert.equal(hasEnded, false)
  await worker.finish('a', 1_000)
  await ended
  assert.deepEqual(worker.started, ['a'])
  assert.deepEqual(clock.delays, [])
})

test('whatever the schedule, each key runs after the last time that it was added', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 20 }), async (s, keys) => {
      const pending = new Set<string>()
      const running = new Set<string>()
      const work = async (key: string) => {
        assert.ok(!running.has(key), `${key} runs twice at once`)
        assert.ok(running.add(key).size <= 2)
        pending.delete(key)
        await s.schedule(Promise.resolve(), `work on ${key}`)
        running.delete(key)
        return undefined
      }
      const queue = new WorkQueue(work, 2, log, new ManualClock())
      const abort = new AbortController()
      const ended = queue.run(abort.signal)
      const adds = keys.map((key) => async () => {
        pending.add(key)
        queue.add(key)
        await Promise.resolve()
      })
      s.scheduleSequence(adds)
      await s.waitIdle()
      assert.deepEqual([...pending], [])
      abort.abort()
      await ended
    }),
  )
})
