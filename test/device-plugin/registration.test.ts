// One registration over hours of a kubelet that is away or answers badly: how often it tries, what it says, what it leaves.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { pino } from 'pino'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { type Kubelet, startKubelet } from '../../sim/kubelet/kubelet.ts'
import { KubeletSockets } from '../../src/device-plugin/kubelet-sockets.ts'
import { Registration } from '../../src/device-plugin/registration.ts'
import { resource } from './cluster-in-memory.ts'

const hourMs = 3_600_000

interface Rig {
  readonly kubelet: Kubelet
  readonly directory: string
  readonly clock: VirtualClock
  readonly registration: Registration
  /** How often it has waited for the next try. */
  readonly waits: () => number
  readonly lines: readonly { readonly msg: string }[]
  /** Real sockets need real time: runs waits as soon as they begin, until done. */
  readonly pass: (done: () => boolean) => Promise<void>
}

async function rig(t: TestContext): Promise<Rig> {
  const root = mkdtempSync('/tmp/jr-')
  const kubelet = await startKubelet({ dir: root })
  const directory = join(root, 'device-plugins')
  const clock = new VirtualClock()
  const waiting = new Set<() => void>()
  let waits = 0
  const counting = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (ms: number, callback: () => void) => {
      waits++
      const cancel = clock.after(ms, callback)
      for (const check of waiting) check()
      return cancel
    },
  }
  const lines: { readonly msg: string }[] = []
  const log = pino({}, { write: (line: string) => lines.push(JSON.parse(line) as { msg: string }) })
  const sockets = new KubeletSockets(directory, log)
  const registration = new Registration({
    directory,
    resource,
    sockets,
    log,
    clock: counting,
    counts: { registered: () => undefined, failed: () => undefined },
    devices: () => [],
    allocate: () => Promise.resolve({ kind: 'refused', reason: 'not here' }),
    prefer: () => [],
    checksStarts: () => false,
    whyNotStart: () => undefined,
    onChange: () => {
      for (const check of waiting) check()
    },
  })
  const stop = new AbortController()
  const running = Promise.all([sockets.run(stop.signal), registration.run(stop.signal)])
  const pass = async (done: () => boolean) => {
    while (!done()) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const before = waits
      const check = () => (waits > before || done()) && resolve()
      waiting.add(check)
      await clock.until(() => waits > before || done(), 2 * hourMs).catch(() => undefined)
      check()
      await promise
      waiting.delete(check)
    }
  }
  t.after(async () => {
    stop.abort()
    await running
    kubelet.close()
    rmSync(root, { recursive: true })
  })
  return { kubelet, directory, clock, registration, waits: () => waits, lines, pass }
}

test('a kubelet that is away for an hour is tried every five seconds, told of once, and leaves nothing behind', async (t) => {
  const { kubelet, directory, clock, registration, waits, lines, pass } = await rig(t)
  await pass(() => registration.isRegistered)
  await kubelet.kill()
  await pass(() => !registration.isRegistered)
  const [before, startedAt] = [waits(), clock.monotonic()]
  await pass(() => clock.monotonic() - startedAt >= hourMs)
  const tries = waits() - before
  assert.ok(tries <= hourMs / 5_000 + 10, `${tries} tries in an hour`)
  assert.ok(tries >= hourMs / 5_000 - 10, `${tries} tries in an hour`)
  assert.ok(lines.filter(({ msg }) => msg === 'registration failed, trying again').length <= 2)
  assert.ok(socketsIn(directory).length <= 1)

  // Not after the five seconds that it waits by now: the clock stands still.
  const registered = once(kubelet.effects, 'registered')
  await kubelet.start()
  await registered
  await pass(() => registration.isRegistered)
  assert.equal(socketsIn(directory).length, 1)
})

test('a kubelet that registers it and watches nothing is asked again, and each try takes its socket along', async (t) => {
  const { kubelet, directory, registration, pass } = await rig(t)
  await pass(() => registration.isRegistered)
  const watchAgain = kubelet.watchNothing()
  let registrations = 0
  kubelet.effects.on('registered', () => registrations++)
  await kubelet.restart()
  await pass(() => registrations >= 3)
  assert.ok(!registration.isRegistered)
  watchAgain()
  await pass(() => registration.isRegistered)
  assert.equal(socketsIn(directory).length, 1)
})

function socketsIn(directory: string): readonly string[] {
  return readdirSync(directory).filter((name) => name.startsWith('jit-eni-'))
}
