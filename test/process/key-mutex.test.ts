// One task at a time per key, in the order of asking.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { KeyMutex } from '../../src/process/key-mutex.ts'

test('a task waits for the one before it on the same key, and for no other', async () => {
  const mutex = new KeyMutex()
  const gate = Promise.withResolvers<void>()
  const order: string[] = []
  const first = mutex.run('node-1', async () => {
    await gate.promise
    order.push('first')
  })
  const second = mutex.run('node-1', async () => void order.push('second'))
  await mutex.run('node-2', async () => void order.push('elsewhere'))
  gate.resolve()
  await Promise.all([first, second])
  assert.deepEqual(order, ['elsewhere', 'first', 'second'])
})

test('a task that fails tells its caller and lets the next one run', async () => {
  const mutex = new KeyMutex()
  const failing = mutex.run('node-1', () => Promise.reject(new Error('no')))
  const next = mutex.run('node-1', () => Promise.resolve('done'))
  await assert.rejects(failing, /no/)
  assert.equal(await next, 'done')
})

test('whatever the schedule, tasks of one key never overlap and keep their order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 }), async (s, keys) => {
      const mutex = new KeyMutex()
      const running = new Set<string>()
      const finished = new Map<string, number[]>()
      const tasks = keys.map((key, place) =>
        mutex.run(key, async () => {
          assert.ok(!running.has(key), `two tasks of ${key} at once`)
          running.add(key)
          await s.schedule(Promise.resolve(), `${key}${place}`)
          running.delete(key)
          finished.set(key, [...(finished.get(key) ?? []), place])
        }),
      )
      await s.waitFor(Promise.all(tasks))
      for (const places of finished.values())
        assert.deepEqual(
          places,
          [...places].sort((a, b) => a - b),
        )
    }),
  )
})
