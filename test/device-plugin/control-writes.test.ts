// The writer process: what the kernel refuses is told, what never returns is given up without harm to the next write.
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'

import { forkWriter, WriterProcess } from '../../src/device-plugin/control-writes.ts'
import type { WriteRequest } from '../../src/device-plugin/sysfs-writer.ts'

/** Long enough for a child to start on a busy machine. */
const patientMs = 10_000

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'writes-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

/** A directory that stands for the card's. */
function cardIn(directory: string) {
  return { directory, inode: String(statSync(directory, { bigint: true }).ino) }
}

function writerWith(t: TestContext, deadlineMs: number): WriterProcess {
  const writer = new WriterProcess(deadlineMs)
  t.after(() => writer.stop())
  return writer
}

/** Resolves when the process is gone, or is a zombie that this process has yet to collect. */
async function ended(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await setImmediate()
}

test('writes in order, and stops at the first that is refused', async (t) => {
  const directory = scratch(t)
  const [first, missing, last] = ['first', 'missing', 'last'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [first, last]) writeFileSync(path, '')
  const outcome = await writerWith(t, patientMs).write(cardIn(directory), [
    { path: first, value: 'vfio-pci\n' },
    { path: missing, value: 'x' },
    { path: last, value: 'x' },
  ])
  assert.deepEqual(outcome, { kind: 'refused', path: missing, code: 'ENOENT' })
  assert.equal(readFileSync(first, 'utf8'), 'vfio-pci\n')
  assert.equal(readFileSync(last, 'utf8'), '')
})

test('a write that does not return is given up at the deadline, and the next one gets a new writer', async (t) => {
  const directory = scratch(t)
  const pipe = join(directory, 'unbind')
  // Opening a pipe for writing blocks until somebody reads, as unbind blocks until the holder of the card lets go.
  execFileSync('mkfifo', [pipe])
  const writer = writerWith(t, patientMs)
  const plain = join(directory, 'plain')
  writeFileSync(plain, '')
  await writer.write(cardIn(directory), [{ path: plain, value: 'warm' }])
  const impatient = writerWith(t, 200)
  const outcome = await impatient.write(cardIn(directory), [{ path: pipe, value: '0000:00:06.0' }])
  assert.equal(outcome.kind, 'stuck')
  assert.ok(outcome.kind === 'stuck')
  await outcome.ended
  assert.deepEqual(await writer.write(cardIn(directory), [{ path: plain, value: 'next' }]), { kind: 'written' })
  assert.equal(readFileSync(plain, 'utf8'), 'next')
})

test('a writer that is slow to start, as on a busy machine, waits for nobody: the deadline is for its writes alone', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const requested = Promise.withResolvers<WriteRequest>()
  const child = Object.assign(new EventEmitter(), {
    exitCode: null,
    signalCode: null,
    kill: () => child.emit('exit'),
    send: (request: WriteRequest) => requested.resolve(request),
  })
  const writer = new WriterProcess(5_000, () => child as unknown as ChildProcess)
  const outcome = writer.write(cardIn(scratch(t)), [])
  const { id } = await requested.promise
  t.mock.timers.tick(20_000)
  child.emit('message', { id, begun: true })
  t.mock.timers.tick(4_000)
  child.emit('message', { id })
  assert.deepEqual(await outcome, { kind: 'written' })
})

test('a write that takes long holds up no other; its writer ends with it', async (t) => {
  const directory = scratch(t)
  const pipe = join(directory, 'unbind')
  execFileSync('mkfifo', [pipe])
  const plain = join(directory, 'plain')
  writeFileSync(plain, '')
  const writer = writerWith(t, 60_000)
  await writer.write(cardIn(directory), [{ path: plain, value: 'warm' }])
  const first = writer.pid ?? 0
  const ends: string[] = []
  const slow = writer.write(cardIn(directory), [{ path: pipe, value: '0000:00:06.0' }]).finally(() => ends.push('slow'))
  const next = writer.write(cardIn(directory), [{ path: plain, value: 'next' }]).finally(() => ends.push('next'))
  assert.deepEqual(await next, { kind: 'written' })
  assert.notEqual(writer.pid, first)
  // Somebody reads now: the write returns.
  const reader = openSync(pipe, 'r')
  t.after(() => closeSync(reader))
  assert.deepEqual(await slow, { kind: 'written' })
  assert.deepEqual(ends, ['next', 'slow'])
  await ended(first)
})

test('a writer that is killed is replaced', async (t) => {
  const directory = scratch(t)
  const plain = join(directory, 'plain')
  closeSync(openSync(plain, 'w'))
  const writer = writerWith(t, patientMs)
  await writer.write(cardIn(directory), [{ path: plain, value: 'one' }])
  const pipe = join(directory, 'pipe')
  execFileSync('mkfifo', [pipe])
  const blocked = writer.write(cardIn(directory), [{ path: pipe, value: 'x' }])
  const after = writer.write(cardIn(directory), [{ path: plain, value: 'two' }])
  // By then the request is on its way.
  await setImmediate()
  process.kill(writer.pid ?? 0, 'SIGKILL')
  assert.deepEqual(await blocked, { kind: 'refused', path: directory, code: 'writer process ended' })
  assert.deepEqual(await after, { kind: 'written' })
})

test('a writer ends when nothing is to be written for a while, and never before its last write has ended', async (t) => {
  const directory = scratch(t)
  const plain = join(directory, 'plain')
  writeFileSync(plain, '')
  const pids: (number | undefined)[] = []
  const exits: Promise<unknown>[] = []
  const idleMs = 1
  const fork = () => {
    const child = forkWriter()
    pids.push(child.pid)
    exits.push(once(child, 'exit'))
    return child
  }
  const writer = new WriterProcess(patientMs, fork, idleMs)
  t.after(() => writer.stop())
  writer.warmUp()
  await exits[0]
  assert.equal(writer.pid, undefined)
  // It takes longer than the idle time to start the writer, let alone to write.
  writer.warmUp()
  assert.deepEqual(await writer.write(cardIn(directory), [{ path: plain, value: 'one' }]), { kind: 'written' })
  await exits[1]
  assert.equal(readFileSync(plain, 'utf8'), 'one')
  assert.equal(new Set(pids).size, 2)
})

test('nothing is written when another card is at the address of the one that was scanned, or none', async (t) => {
  const directory = scratch(t)
  const device = join(directory, '0000:00:06.0')
  mkdirSync(device)
  const card = cardIn(device)
  writeFileSync(join(directory, 'plain'), '')
  const writes = [{ path: join(directory, 'plain'), value: 'x' }]
  const writer = writerWith(t, patientMs)
  assert.deepEqual(await writer.write(card, writes), { kind: 'written' })
  const other = { ...card, inode: `${card.inode}0` }
  const replaced = { kind: 'refused', path: device, code: 'another card is there now' }
  assert.deepEqual(await writer.write(other, writes), replaced)
  rmSync(device, { recursive: true })
  assert.deepEqual(await writer.write(card, writes), { kind: 'refused', path: device, code: 'ENODEV' })
  assert.equal(readFileSync(join(directory, 'plain'), 'utf8'), 'x')
})

test('a card that a process has open is not unbound from vfio-pci: that would not return', async (t) => {
  const directory = scratch(t)
  const drivers = join(directory, 'drivers/vfio-pci')
  mkdirSync(drivers, { recursive: true })
  const unbind = join(drivers, 'unbind')
  writeFileSync(unbind, '')
  writeFileSync(join(directory, 'enable'), '1\n')
  const writer = writerWith(t, patientMs)
  const writes = [{ path: unbind, value: '0000:00:06.0' }]
  const refused = { kind: 'refused', path: unbind, code: 'a process has the card open', isInUse: true }
  assert.deepEqual(await writer.write(cardIn(directory), writes), refused)
  assert.equal(readFileSync(unbind, 'utf8'), '')
  writeFileSync(join(directory, 'enable'), '0\n')
  assert.deepEqual(await writer.write(cardIn(directory), writes), { kind: 'written' })
})

const brokenStarts: Readonly<Record<string, () => ChildProcess>> = {
  'cannot be started': () => {
    throw new Error('spawn EAGAIN')
  },
  // As fork leaves it when there is no file descriptor for a channel (EMFILE).
  'has no channel': () => new EventEmitter() as ChildProcess,
}
for (const [what, broken] of Object.entries(brokenStarts)) {
  test(`a writer that ${what} is a refusal, and the next write gets another`, async (t) => {
    const directory = scratch(t)
    const plain = join(directory, 'plain')
    writeFileSync(plain, '')
    let starts = 0
    const writer = new WriterProcess(patientMs, () => (starts++ === 0 ? broken() : forkWriter()))
    t.after(() => writer.stop())
    const refused = await writer.write(cardIn(directory), [{ path: plain, value: 'one' }])
    assert.equal(refused.kind, 'refused')
    assert.deepEqual(await writer.write(cardIn(directory), [{ path: plain, value: 'two' }]), { kind: 'written' })
    assert.equal(readFileSync(plain, 'utf8'), 'two')
  })
}
