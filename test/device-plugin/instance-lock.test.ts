// One instance at a time: the second one waits, and works as soon as the first has ended.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { pino } from 'pino'

import { InstanceLock } from '../../src/device-plugin/instance-lock.ts'

interface Instance {
  readonly lock: InstanceLock
  readonly working: Promise<void>
  readonly ended: Promise<void>
  readonly standsBy: Promise<void>
  readonly end: () => void
}

function stateDirectory(t: TestContext): string {
  const directory = mkdtempSync('/tmp/jl-')
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

function start(t: TestContext, stateDir: string): Instance {
  const standsBy = Promise.withResolvers<void>()
  const log = pino({}, { write: (line: string) => line.includes('standing by') && standsBy.resolve() })
  const lock = new InstanceLock(stateDir, log)
  const stop = new AbortController()
  const work = Promise.withResolvers<void>()
  const working = Promise.withResolvers<void>()
  const end = () => {
    stop.abort()
    work.resolve()
  }
  const ended = lock.during(stop.signal, () => {
    working.resolve()
    return work.promise
  })
  t.after(() => {
    end()
    return ended
  })
  return { lock, working: working.promise, ended, standsBy: standsBy.promise, end }
}

test('the second instance stands by, and works when the first has ended', async (t) => {
  const directory = stateDirectory(t)
  const first = start(t, directory)
  await first.working
  const second = start(t, directory)
  await second.standsBy
  assert.ok(first.lock.isHeld)
  assert.ok(!second.lock.isHeld)
  first.end()
  await second.working
  assert.ok(!first.lock.isHeld)
  assert.ok(second.lock.isHeld)
})

test('of several that wait one works, and then the next', async (t) => {
  const directory = stateDirectory(t)
  const instances = [start(t, directory), start(t, directory), start(t, directory)]
  const remaining = new Set(instances)
  while (remaining.size > 0) {
    const one = await Promise.race([...remaining].map((instance) => instance.working.then(() => instance)))
    assert.deepEqual(
      instances.filter(({ lock }) => lock.isHeld),
      [one],
    )
    remaining.delete(one)
    one.end()
    await one.ended
  }
})

test('one that is told to stop while it stands by ends without having worked', async (t) => {
  const directory = stateDirectory(t)
  const first = start(t, directory)
  await first.working
  const second = start(t, directory)
  await second.standsBy
  const turn = second.lock.turn(AbortSignal.abort())
  second.end()
  await second.ended
  await turn
  assert.ok(!second.lock.isHeld)
  assert.ok(first.lock.isHeld)
})

test('the state directory is the same by another path', async (t) => {
  const directory = stateDirectory(t)
  const link = join(stateDirectory(t), 'link')
  symlinkSync(directory, link)
  await start(t, directory).working
  const second = start(t, link)
  await second.standsBy
  assert.ok(!second.lock.isHeld)
})

test('instances of different state directories do not wait for each other', async (t) => {
  await start(t, stateDirectory(t)).working
  await start(t, stateDirectory(t)).working
})
