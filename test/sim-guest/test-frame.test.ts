// A test frame is told from every other frame on a cable.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sequenceOf, testFrame } from '../../sim/guest/test-frame.ts'

const from = '02:00:00:00:00:01'

test('has both addresses and its number, and is as long as a frame must be', () => {
  const frame = testFrame({ to: 'FF:ff:ff:ff:ff:ff', from, sequence: 0xfffffffe })
  assert.equal(frame.length, 60)
  assert.equal(frame.toString('hex', 0, 18), 'ffffffffffff02000000000188b5fffffffe')
  assert.equal(sequenceOf(frame), 0xfffffffe)
})

test('keeps its number when a forwarder changes the addresses or a card appends bytes', () => {
  const frame = testFrame({ to: from, from, sequence: 7 })
  frame.fill(0, 0, 12)
  assert.equal(sequenceOf(Buffer.concat([frame, Buffer.alloc(4)])), 7)
})

test('what a kernel sends has no number', () => {
  const routerSolicitation = Buffer.alloc(70)
  routerSolicitation.writeUInt16BE(0x86dd, 12)
  assert.equal(sequenceOf(routerSolicitation), undefined)
  assert.equal(sequenceOf(Buffer.alloc(3)), undefined)
})

test('an address that is none is refused', () => {
  assert.throws(() => testFrame({ to: '02:00:00:00:00', from, sequence: 0 }), /no MAC address: 02:00:00:00:00/)
})
