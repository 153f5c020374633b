// The far end of a guest's cable, with a socket in place of QEMU's netdev.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { framed, FrameReader, maxFrameBytes } from '../../sim/guest/frame-stream.ts'
import { sequenceOf, testFrame } from '../../sim/guest/test-frame.ts'
import { Wire } from '../../sim/guest/wire.ts'

const from = '02:00:00:00:00:01'
const to = '02:00:00:00:00:02'

test('what is sent the card receives, and the other way round', async (t) => {
  await using wire = await Wire.open(socketPath(t))
  const card = await plugIn(wire, t)

  const reader = new FrameReader()
  const received = once(card, 'data').then(([chunk]: Buffer[]) => reader.read(chunk ?? Buffer.alloc(0)).frames)
  await wire.send(numbered(1))
  assert.deepEqual(await received, [numbered(1)])
  assert.equal(wire.sentFrames, 1)

  const came = wire.frames({ count: 2, matches: () => true, signal: t.signal })
  const stream = Buffer.concat([framed(numbered(2)), framed(numbered(3))])
  card.write(stream.subarray(0, 70))
  card.write(stream.subarray(70))
  assert.deepEqual(await came, [numbered(2), numbered(3)])
  assert.equal(wire.receivedFrames, 2)
})

test('only matching frames are counted, and a listener hears all until it is stopped', async (t) => {
  await using wire = await Wire.open(socketPath(t))
  const card = await plugIn(wire, t)
  const heard: Buffer[] = []
  const stop = wire.onFrame((frame) => heard.push(frame))
  const noise = Buffer.alloc(70, 0x86)

  const first = wire.frames({ count: 1, matches: isNumbered, signal: t.signal })
  card.write(Buffer.concat([framed(noise), framed(numbered(1))]))
  assert.deepEqual(await first, [numbered(1)])
  stop()
  const second = wire.frames({ count: 1, matches: isNumbered, signal: t.signal })
  card.write(Buffer.concat([framed(noise), framed(numbered(2))]))
  assert.deepEqual(await second, [numbered(2)])

  assert.deepEqual(heard, [noise, numbered(1)])
  assert.equal(wire.receivedFrames, 4)
})

test('sending is no faster than the card takes the frames, and none is lost', async (t) => {
  await using wire = await Wire.open(socketPath(t))
  const card = await plugIn(wire, t)
  const count = 20_000
  // Much more than sockets hold, and much less than all.
  const mostUnderWay = 2_000
  let offered = 0
  function* frames(): Generator<Buffer, void> {
    for (; offered < count; offered += 1) yield Buffer.concat([numbered(offered), Buffer.alloc(940)])
  }
  const sending = wire.sendAll(frames(), t.signal)

  const reader = new FrameReader()
  const sequences: (number | undefined)[] = []
  for await (const chunk of card) {
    sequences.push(...reader.read(chunk).frames.map(sequenceOf))
    const underWay = offered - sequences.length
    assert.ok(underWay <= mostUnderWay, `${underWay} frames were under way`)
    if (sequences.length === count) break
  }
  await sending
  assert.deepEqual(sequences, [...Array(count).keys()])
  assert.equal(wire.sentFrames, count)
})

test('a sender that waits for the card is freed by its signal, and by the end of the card', async (t) => {
  await using wire = await Wire.open(socketPath(t))
  const card = await plugIn(wire, t)
  card.pause()
  const moreThanSocketsHold = (signal: AbortSignal) =>
    Promise.all(Array.from({ length: 200 }, () => wire.send(Buffer.alloc(maxFrameBytes), signal)))
  const abort = new AbortController()
  const aborted = moreThanSocketsHold(abort.signal)
  abort.abort(new Error('enough'))
  await assert.rejects(aborted, matching(/took no more frames after \d+/, /^enough$/))

  const pulled = moreThanSocketsHold(t.signal)
  card.destroy()
  await assert.rejects(pulled, /was pulled while a frame was sent/)
})

test('without a card nothing can be sent, and the error says whether there was one', async (t) => {
  await using wire = await Wire.open(socketPath(t))
  await assert.rejects(wire.send(numbered(1)), matching(/cannot send a frame/, /no card has been plugged into .* yet/))
  const card = await plugIn(wire, t)
  await pull(card, wire, t)
  await assert.rejects(wire.send(numbered(1)), matching(/cannot send a frame/, /the card was pulled from/))
})

test('a wait ends with the number of frames that came: by its signal, or when the card is pulled', async (t) => {
  await using wire = await Wire.open(socketPath(t))
  const card = await plugIn(wire, t)
  const abort = new AbortController()
  const aborted = wire.frames({ count: 2, matches: isNumbered, signal: abort.signal })
  const first = wire.frames({ count: 1, matches: isNumbered, signal: t.signal })
  card.write(framed(numbered(1)))
  await first
  abort.abort(new Error('too late'))
  await assert.rejects(aborted, matching(/1 of 2 frames had come/, /^too late$/))

  const pulled = wire.frames({ count: 1, matches: isNumbered, signal: t.signal })
  card.end()
  await assert.rejects(pulled, matching(/0 of 1 frames had come/, /the card was pulled/))

  const noCard = new AbortController()
  const waiting = wire.plugged(noCard.signal)
  noCard.abort(new Error('too late'))
  await assert.rejects(waiting, /no card was plugged into/)
})

test('what is no frame ends the connection, and the error says why', async (t) => {
  await using wire = await Wire.open(socketPath(t))
  const card = await plugIn(wire, t)
  const came = wire.frames({ count: 2, matches: isNumbered, signal: t.signal })
  const closed = once(card, 'close')
  card.resume().write(Buffer.concat([framed(numbered(1)), Buffer.from('GET / HTTP/1.1')]))
  const reason = /what came at .* are no frames/
  await assert.rejects(came, matching(/1 of 2 frames had come/, reason))
  await closed
  await assert.rejects(wire.send(numbered(2)), matching(/cannot send a frame/, reason))
})

test('a card that is attached again is plugged in as before, also before the end of the first is seen', async (t) => {
  await using wire = await Wire.open(socketPath(t))
  const first = await plugIn(wire, t)
  const firstClosed = once(first.resume(), 'close')
  const second = connect(wire.socketPath)
  await firstClosed
  await wire.plugged(t.signal)
  const came = wire.frames({ count: 1, matches: isNumbered, signal: t.signal })
  second.write(framed(numbered(1)))
  assert.deepEqual(await came, [numbered(1)])
  second.destroy()
})

test('the socket file and the connection go with the wire', async (t) => {
  const file = socketPath(t)
  const wire = await Wire.open(file)
  assert.ok(existsSync(file))
  const card = await plugIn(wire, t)
  const closed = once(card.resume(), 'close')
  await wire[Symbol.asyncDispose]()
  await closed
  assert.equal(existsSync(file), false)
})

test('a path that is taken, missing or too long is refused', async (t) => {
  const file = socketPath(t)
  await using _wire = await Wire.open(file)
  await assert.rejects(Wire.open(file), /cannot listen on .* for a card: .*EADDRINUSE/)
  await assert.rejects(Wire.open(path.join(file, 'below')), /cannot listen on .* for a card/)
  await assert.rejects(Wire.open(file.padEnd(108, 'x')), /more than 107 bytes/)
})

function socketPath(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'wire-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return path.join(directory, 'eth1')
}

async function plugIn(wire: Wire, t: TestContext): Promise<Socket> {
  const card = connect(wire.socketPath)
  t.after(() => card.destroy())
  await wire.plugged(t.signal)
  return card
}

/** Resolves when the wire has seen it. */
async function pull(card: Socket, wire: Wire, t: TestContext): Promise<void> {
  const seen = wire.frames({ count: 1, matches: () => true, signal: t.signal })
  card.destroy()
  await assert.rejects(seen, matching(/0 of 1 frames/, /the card was pulled/))
}

function numbered(sequence: number): Buffer {
  return testFrame({ to, from, sequence })
}

function isNumbered(frame: Buffer): boolean {
  return sequenceOf(frame) !== undefined
}

function matching(message: RegExp, cause: RegExp): (error: Error) => boolean {
  return (error) => {
    assert.match(error.message, message)
    assert.ok(error.cause instanceof Error)
    assert.match(error.cause.message, cause)
    return true
  }
}
