// Two wires on a real QEMU that has no machine, only a hub between its two netdevs: what is sent into one comes out of the other.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { sequenceOf, testFrame } from '../../sim/guest/test-frame.ts'
import { Wire } from '../../sim/guest/wire.ts'

const qemu = 'qemu-system-x86_64'
const skip = spawnSync(qemu, ['--version']).status === 0 ? false : `${qemu} is not installed`

test('every frame passes a real QEMU once', { skip }, async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'wire-'))
  t.after(() => rmSync(directory, { recursive: true }))
  await using near = await Wire.open(path.join(directory, 'near'))
  await using far = await Wire.open(path.join(directory, 'far'))
  const machine = ['-machine', 'none', '-nodefaults', '-display', 'none']
  const process = spawn(qemu, [...machine, ...onHub('near', near), ...onHub('far', far)], { stdio: 'ignore' })
  t.after(async () => {
    process.kill('SIGKILL')
    if (process.exitCode === null && process.signalCode === null) await once(process, 'exit')
  })
  await Promise.all([near.plugged(t.signal), far.plugged(t.signal)])

  const sequences = [...Array(5000).keys()]
  const frames = sequences.map((sequence) =>
    testFrame({ to: '02:00:00:00:00:02', from: '02:00:00:00:00:01', sequence }),
  )
  const came = far.frames({
    count: frames.length,
    matches: (frame) => sequenceOf(frame) !== undefined,
    signal: t.signal,
  })
  await near.sendAll(frames, t.signal)
  const arrived = (await came).map((frame) => sequenceOf(frame) ?? -1)
  // Not in order: QEMU lets one overtake another when its own socket is full.
  assert.deepEqual(
    arrived.toSorted((a, b) => a - b),
    sequences,
  )
  assert.deepEqual([near.sentFrames, near.receivedFrames, far.sentFrames, far.receivedFrames], [5000, 0, 0, 5000])
})

function onHub(id: string, { socketPath }: Wire): string[] {
  const cable = `stream,id=${id},server=off,addr.type=unix,addr.path=${socketPath}`
  return ['-netdev', cable, '-netdev', `hubport,id=hub-${id},hubid=0,netdev=${id}`]
}
