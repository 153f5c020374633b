// Packets through a forwarder that loses some of them: exactly those are named.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { FrameReader, framed } from '../../sim/guest/frame-stream.ts'
import { PacketFlow } from '../../sim/guest/packet-flow.ts'
import { sequenceOf } from '../../sim/guest/test-frame.ts'
import { Wire } from '../../sim/guest/wire.ts'

const to = '02:00:00:00:00:02'

test('what a forwarder passes on has come back, all of it', async (t) => {
  await using flow = await flowThrough(t, () => true)
  const passed = await flow.during(() => flow.more(50))
  assert.ok(passed.sent >= 50)
  assert.deepEqual(passed.lost, [])
})

test('each packet that is lost is named, and only while it counts', async (t) => {
  let first = 0
  await using flow = await flowThrough(t, (sequence) => first === 0 || sequence < first || sequence % 10 !== 3)
  const before = await flow.during(() => flow.more(20))
  assert.deepEqual(before.lost, [])
  first = flow.sent + 1
  const passed = await flow.during(() => flow.more(50))
  assert.ok(passed.lost.length >= 4)
  assert.ok(passed.lost.every((sequence) => sequence >= first && sequence % 10 === 3))
})

async function flowThrough(t: TestContext, passes: (sequence: number) => boolean): Promise<PacketFlow> {
  const directory = mkdtempSync(path.join(tmpdir(), 'flow-'))
  const into = await Wire.open(path.join(directory, 'in'))
  const outOf = await Wire.open(path.join(directory, 'out'))
  const [near, far] = [connect(into.socketPath), connect(outOf.socketPath)]
  t.after(async () => {
    for (const end of [near, far]) end.destroy()
    await Promise.all([into, outOf].map((wire) => wire[Symbol.asyncDispose]()))
    rmSync(directory, { recursive: true })
  })
  forward(near, far, passes)
  await Promise.all([into, outOf].map((wire) => wire.plugged(t.signal)))
  return PacketFlow.start({ to, into, outOf })
}

function forward(near: Socket, far: Socket, passes: (sequence: number) => boolean): void {
  const reader = new FrameReader()
  near.on('data', (chunk) => {
    for (const frame of reader.read(chunk).frames) if (passes(sequenceOf(frame) ?? NaN)) far.write(framed(frame))
  })
}
