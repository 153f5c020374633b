// What comes and goes leaves nothing behind: the heap after ten thousand objects is that after a thousand. Of the whole program, of
// which ten thousand device lists take minutes, `make bench-memory` shows the heap.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { pino } from 'pino'

import { newAttachment } from '../../src/api/eni-attachment.ts'
import type { KubeClient } from '../../src/kube/cluster.ts'
import { EventRecorder } from '../../src/kube/event-recorder.ts'
import { Informer } from '../../src/kube/informer.ts'
import { attachmentParser } from '../../src/kube/objects.ts'
import { attachmentsPath } from '../../src/kube/resource.ts'
import { CardWork } from '../../src/device-plugin/card-work.ts'
import { StatusWriter } from '../../src/device-plugin/status-writer.ts'
import { ManualClock } from '../process/manual-clock.ts'
import { attachmentOf } from './cards.ts'
import { resource } from './cluster-in-memory.ts'
import { HandClock } from './hand-clock.ts'

/** A map entry with a short key is more. */
const strayBytesMax = 100

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

async function heapUsed(): Promise<number> {
  // What waits for a turn of the event loop, such as a closed promise chain, goes first.
  for (let turn = 0; turn < 5; turn++) {
    await new Promise(setImmediate)
    collectGarbage()
  }
  return process.memoryUsage().heapUsed
}

/** Bytes that stay of each, between the first thousand and ten thousand. */
async function bytesLeftOfEach(comeAndGo: (from: number, count: number) => Promise<void>): Promise<number> {
  await comeAndGo(0, 1_000)
  const before = await heapUsed()
  await comeAndGo(1_000, 9_000)
  return ((await heapUsed()) - before) / 9_000
}

test('attachments that come and go leave nothing behind in what writes their status and works for them', async () => {
  const clock = new HandClock()
  const log = pino({ level: 'silent' })
  const nowhere = { writeStatus: () => Promise.resolve(), endFinalizer: () => Promise.resolve() }
  const statuses = new StatusWriter(nowhere, clock, log)
  const work = new CardWork(clock, log, () => undefined)
  const nobody = new Set<string>()
  const left = await bytesLeftOfEach(async (from, count) => {
    for (let at = from; at < from + count; at++) {
      const attachment = attachmentOf({ uid: `uid-${at}` })
      statuses.want(attachment, { driver: 'vfio-pci' }, { passing: false })
      // A failed step is remembered until its object has gone.
      const failure = { reason: 'BindFailed', message: `of ${at}`, terminal: false } as const
      work.start(attachment.metadata.uid, {}, () => Promise.resolve({ kind: 'failed', failure }))
      await work.settled()
      statuses.retain(nobody)
      work.retain(nobody)
    }
  })
  assert.ok(left < strayBytesMax, `${left.toFixed(0)} bytes stay of each`)
})

test('objects that come and go, and events about them, leave nothing behind in the client', async () => {
  const log = pino({ level: 'silent' })
  const clock = new ManualClock()
  const stop = new AbortController()
  const script = watchScript()
  const client: KubeClient = {
    request: async <T>() => ({ metadata: { resourceVersion: '1' }, items: [] }) as T,
    lines: () => script.lines(),
  }
  const events = new EventRecorder(client, 'test', log, clock)
  const informer = new Informer({ cluster: client, path: attachmentsPath, parse: attachmentParser(log), log, clock })
  informer.onChange((name) => {
    // One in a minute: after ten minutes the recorder need not know of it.
    clock.advance(60_000)
    events.record({ apiVersion: 'v1', kind: 'Node', name: 'a', uid: name }, 'Normal', 'Seen', `saw ${name}`)
  })
  const running = informer.run(stop.signal)
  const left = await bytesLeftOfEach((from, count) => script.comeAndGo(from, count))
  assert.equal([...informer.values()].length, 0)
  stop.abort()
  script.end()
  await running
  assert.ok(left < strayBytesMax, `${left.toFixed(0)} bytes stay of each`)
})

/** A watch that tells of objects as the test says, each added and then deleted. */
function watchScript() {
  let given = Promise.withResolvers<{ readonly from: number; readonly count: number } | 'end'>()
  let told = Promise.withResolvers<void>()
  return {
    async *lines(): AsyncGenerator<object> {
      for (;;) {
        const next = await given.promise
        if (next === 'end') return
        for (let at = next.from; at < next.from + next.count; at++) {
          const spec = { nodeENI: 'upf', nodeName: 'node-a', instanceID: 'i-1', resourceName: resource }
          const object = newAttachment(`life-${at}`, spec) as { readonly metadata: object }
          const metadata = { ...object.metadata, uid: `uid-${at}`, resourceVersion: String(2 * at) }
          yield { type: 'ADDED', object: { ...object, metadata } }
          yield { type: 'DELETED', object: { ...object, metadata } }
        }
        given = Promise.withResolvers()
        told.resolve()
      }
    },
    comeAndGo(from: number, count: number): Promise<void> {
      told = Promise.withResolvers()
      given.resolve({ from, count })
      return told.promise
    },
    end: () => given.resolve('end'),
  }
}
