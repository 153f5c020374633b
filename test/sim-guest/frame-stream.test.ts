// Frames come out of the byte stream as they went in, whatever the chunks are.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { framed, FrameReader, maxFrameBytes } from '../../sim/guest/frame-stream.ts'

test('a frame has its length in four bytes before it', () => {
  assert.deepEqual(framed(Buffer.from('abc')), Buffer.from([0, 0, 0, 3, 0x61, 0x62, 0x63]))
})

test('the same frames come out in order, however the stream is split and joined', () => {
  const frames = fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { maxLength: 12 })
  const chunkLengths = fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1 })
  fc.assert(
    fc.property(frames, chunkLengths, (sent, lengths) => {
      const reader = new FrameReader()
      const read = chunksOf(Buffer.concat(sent.map(framed)), lengths).map((chunk) => reader.read(chunk))
      const received = read.flatMap((part) => part.frames)
      assert.ok(read.every(({ broken }) => broken === undefined))
      assert.deepEqual(
        received,
        sent.map((frame) => Buffer.from(frame)),
      )
    }),
  )
})

test('the largest frame passes, one byte more is refused on both sides', () => {
  const largest = Buffer.alloc(maxFrameBytes, 7)
  assert.deepEqual(new FrameReader().read(framed(largest)), { frames: [largest] })

  const tooLarge = Buffer.alloc(4)
  tooLarge.writeUInt32BE(maxFrameBytes + 1)
  assert.match(
    String(new FrameReader().read(tooLarge).broken),
    /a frame of 65555 bytes was announced: 1 to 65554 can be/,
  )
  assert.throws(() => framed(Buffer.alloc(maxFrameBytes + 1)), /cannot send a frame of 65555 bytes/)
})

test('a length of 0 is refused on both sides, and what came before it is a frame', () => {
  const good = Buffer.from('good')
  const { frames, broken } = new FrameReader().read(Buffer.concat([framed(good), Buffer.alloc(4)]))
  assert.deepEqual(frames, [good])
  assert.match(String(broken), /a frame of 0 bytes was announced/)
  assert.throws(() => framed(Buffer.alloc(0)), /cannot send a frame of 0 bytes/)
})

/** Of the given lengths in turn. */
function chunksOf(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  let start = 0
  while (start < bytes.length) {
    const end = start + (lengths[chunks.length % lengths.length] ?? 1)
    chunks.push(bytes.subarray(start, end))
    start = end
  }
  return chunks
}
