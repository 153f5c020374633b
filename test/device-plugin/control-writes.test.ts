// The writer process: what the kernel refuses is told, what never returns is given up without harm to the next write.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { WriterProcess } from '../../src/device-plugin/control-writes.ts'

/** Long enough for a child to start on a busy machine. */
const patientMs = 10_000

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'writes-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

function writerWith(t: TestContext, deadlineMs: number): WriterProcess {
  const writer = new WriterProcess(deadlineMs)
  t.after(() => writer.stop())
  return writer
}

test('writes in order, and stops at the first that is refused', async (t) => {
  const directory = scratch(t)
  const [first, missing, last] = ['first', 'missing', 'last'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [first, last]) writeFileSync(path, '')
  const outcome = await writerWith(t, patientMs).write([
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
  await writer.write([{ path: plain, value: 'warm' }])
  const impatient = writerWith(t, 200)
  const outcome = await impatient.write([{ path: pipe, value: '0000:00:06.0' }])
  assert.equal(outcome.kind, 'stuck')
  assert.ok(outcome.kind === 'stuck')
  await outcome.ended
  assert.deepEqual(await writer.write([{ path: plain, value: 'next' }]), { kind: 'written' })
  assert.equal(readFileSync(plain, 'utf8'), 'next')
})

test('a writer that is killed is replaced', async (t) => {
  const directory = scratch(t)
  const plain = join(directory, 'plain')
  closeSync(openSync(plain, 'w'))
  const writer = writerWith(t, patientMs)
  await writer.write([{ path: plain, value: 'one' }])
  const pipe = join(directory, 'pipe')
  execFileSync('mkfifo', [pipe])
  const blocked = writer.write([{ path: pipe, value: 'x' }])
  const after = writer.write([{ path: plain, value: 'two' }])
  process.kill(writer.pid ?? 0, 'SIGKILL')
  assert.deepEqual(await blocked, { kind: 'refused', path: pipe, code: 'writer process ended' })
  assert.deepEqual(await after, { kind: 'written' })
})
