// The kubelet's directory: a new kubelet is noticed, so is the loss of a socket of ours, whatever becomes of the directory.
import assert from 'node:assert/strict'
import { closeSync, mkdirSync, mkdtempSync, openSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { pino } from 'pino'

import { watchForDeadMounts } from '../../src/device-plugin/dead-mount.ts'
import { KubeletSockets } from '../../src/device-plugin/kubelet-sockets.ts'

interface Rig {
  readonly directory: string
  readonly sockets: KubeletSockets
  /** Resolves when a line with this text is logged. */
  readonly logged: (msg: string) => Promise<void>
}

function rig(t: TestContext): Rig {
  const root = mkdtempSync('/tmp/js-')
  const directory = join(root, 'device-plugins')
  mkdirSync(directory)
  const waiting = new Map<string, () => void>()
  const write = (line: string) => waiting.get((JSON.parse(line) as { msg: string }).msg)?.()
  const sockets = new KubeletSockets(directory, pino({}, { write }))
  const stop = new AbortController()
  const logged = (msg: string) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    waiting.set(msg, resolve)
    return promise
  }
  const running = sockets.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await running
    rmSync(root, { recursive: true })
  })
  return { directory, sockets, logged }
}

function kubeletChanges(sockets: KubeletSockets): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const unlisten = sockets.onKubelet(() => {
    unlisten()
    resolve()
  })
  return promise
}

test('the directory goes and comes again: no kubelet meanwhile, and the next one is seen', async (t) => {
  const { directory, sockets, logged } = rig(t)
  const came = kubeletChanges(sockets)
  writeFileSync(join(directory, 'kubelet.sock'), '')
  await came
  const first = sockets.kubelet
  const gone = kubeletChanges(sockets)
  const noticed = logged('plugin directory is gone, waiting for it')
  rmSync(directory, { recursive: true })
  await gone
  await noticed
  assert.equal(sockets.kubelet, undefined)
  sockets.removeLeftovers()

  const again = kubeletChanges(sockets)
  mkdirSync(directory)
  writeFileSync(join(directory, 'kubelet.sock'), '')
  await again
  assert.notEqual(sockets.kubelet, undefined)
  assert.notEqual(sockets.kubelet, first)
})

test('another directory in its place: our socket is not in it, and the watch goes on there', async (t) => {
  const { directory, sockets, logged } = rig(t)
  const ours = join(directory, 'jit-eni-1-00000000.sock')
  writeFileSync(ours, '')
  const lost = Promise.withResolvers<void>()
  sockets.guard({ path: ours, tell: lost.resolve })
  const watchedAgain = logged('plugin directory watched')
  mkdirSync(`${directory}.other`)
  renameSync(directory, `${directory}.old`)
  renameSync(`${directory}.other`, directory)
  await lost.promise
  await watchedAgain
  const came = kubeletChanges(sockets)
  writeFileSync(join(directory, 'kubelet.sock'), '')
  await came
})

test('a directory that is removed on the node and still mounted here ends the program', async () => {
  const directory = mkdtempSync('/tmp/js-')
  const open = openSync(directory, 'r')
  // Like a bind mount, the open file keeps the directory when its last name goes.
  const mounted = `/proc/self/fd/${open}`
  try {
    const watching = watchForDeadMounts([mounted], AbortSignal.timeout(30_000))
    rmdirSync(directory)
    await assert.rejects(watching, /was removed on the node/)
  } finally {
    closeSync(open)
  }
})

test('directories that are there, or are away, end nothing', async (t) => {
  const directory = mkdtempSync('/tmp/js-')
  t.after(() => rmSync(directory, { recursive: true }))
  const stop = new AbortController()
  const watching = watchForDeadMounts([directory, join(directory, 'away')], stop.signal)
  stop.abort()
  await watching
})
