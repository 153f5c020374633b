// Which NodeENIs a node cannot serve, for how long, and what of it survives a restart.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { NodeRefusals } from '../../src/attacher/node-refusals.ts'

import { attachmentOf, nodeENIOf, nodeOf } from './objects.ts'
import { TestClock } from './test-clock.ts'

const upf = nodeENIOf('upf')
const changed = nodeENIOf('upf', {}, 0, 2)
const minutes = (count: number) => count * 60_000

function refusalsUnderTest() {
  const clock = new TestClock()
  return { clock, refusals: new NodeRefusals(clock) }
}

test('a missing driver is forgotten after five minutes', () => {
  const { clock, refusals } = refusalsUnderTest()
  assert.equal(refusals.add(attachmentOf('1'), upf, 'DriverMissing'), true)
  assert.equal(refusals.reasonAgainst('i-a1', upf), 'DriverMissing')
  assert.deepEqual(refusals.on('i-a1', [upf]), [{ nodeENI: 'upf', generation: 1, reason: 'DriverMissing' }])
  assert.deepEqual(refusals.on('i-a2', [upf]), [])
  assert.equal(refusals.haveEnded(upf), false)
  clock.jump(minutes(5) - 1_000)
  assert.ok(refusals.endsInMs(upf) <= 1_000)
  clock.jump(1_000)
  assert.equal(refusals.reasonAgainst('i-a1', upf), undefined)
  assert.deepEqual([refusals.haveEnded(upf), refusals.haveEnded(upf)], [true, false])
})

test('a PCI address that does not match stays until the NodeENI changes', () => {
  const { clock, refusals } = refusalsUnderTest()
  refusals.add(attachmentOf('1'), upf, 'PCIAddressMismatch')
  clock.jump(minutes(24 * 60))
  assert.equal(refusals.reasonAgainst('i-a1', upf), 'PCIAddressMismatch')
  assert.equal(refusals.endsInMs(upf), Infinity)
  assert.equal(refusals.reasonAgainst('i-a1', changed), undefined)
  assert.deepEqual(refusals.on('i-a1', [changed]), [])
  assert.equal(refusals.haveEnded(changed), true)
})

test('an attachment that failed before the NodeENI changed is not held against what it is now', () => {
  const { refusals } = refusalsUnderTest()
  refusals.add(attachmentOf('1'), upf, 'PCIAddressMismatch')
  assert.equal(refusals.add(attachmentOf('1'), changed, 'PCIAddressMismatch'), false)
  assert.equal(refusals.reasonAgainst('i-a1', changed), undefined)
  assert.equal(refusals.add(attachmentOf('2'), changed, 'PCIAddressMismatch'), true)
  assert.equal(refusals.reasonAgainst('i-a1', changed), 'PCIAddressMismatch')
})

test('after a restart, too, what failed by an older NodeENI is not held against what it is now', () => {
  const { refusals } = refusalsUnderTest()
  assert.equal(refusals.add(attachmentOf('1'), changed, 'PCIAddressMismatch', 1), true)
  assert.equal(refusals.reasonAgainst('i-a1', changed), undefined)
  assert.deepEqual(refusals.on('i-a1', [changed]), [])
})

test('two that failed in the same way are one refusal', () => {
  const { refusals } = refusalsUnderTest()
  refusals.add(attachmentOf('1'), upf, 'DriverMissing')
  refusals.add(attachmentOf('2'), upf, 'DriverMissing')
  assert.equal(refusals.on('i-a1', [upf]).length, 1)
})

test('nodes with something wrong are told of, full ones are not', () => {
  const { clock, refusals } = refusalsUnderTest()
  refusals.learn([
    { ...nodeOf('a2'), capacity: { instanceID: 'i-a2', cards: [], refused: [refusedFor('NoIOMMU')] } },
    { ...nodeOf('a3'), capacity: { instanceID: 'i-a3', cards: [], refused: [refusedFor('NodeFull')] } },
  ])
  refusals.add(attachmentOf('1'), upf, 'PCIAddressMismatch')
  const mismatch = { nodeName: 'a1', reason: 'PCIAddressMismatch' }
  assert.deepEqual(refusals.nodesRefusing(upf), [mismatch, { nodeName: 'a2', reason: 'NoIOMMU' }])
  clock.jump(minutes(5))
  assert.deepEqual(refusals.nodesRefusing(upf), [mismatch])
})

test('after a restart the annotation of the very instance is believed, and a rest begins anew', () => {
  const { clock, refusals } = refusalsUnderTest()
  const refused = ['PCIAddressMismatch', 'DriverMissing'].map((reason) => ({ nodeENI: reason, generation: 1, reason }))
  const capacity = (instanceID: string) => ({ instanceID, cards: [], refused })
  refusals.learn([
    { ...nodeOf('a1'), capacity: capacity('i-a1') },
    { ...nodeOf('a2'), capacity: capacity('i-before') },
    nodeOf('a3'),
  ])
  const [mismatch, driver] = [nodeENIOf('PCIAddressMismatch'), nodeENIOf('DriverMissing')]
  assert.deepEqual(refusals.on('i-a1', [mismatch, driver]), refused)
  assert.deepEqual(refusals.on('i-a2', [mismatch, driver]), [])
  assert.deepEqual(refusals.on('i-before', [mismatch, driver]), [])
  clock.jump(minutes(5))
  assert.deepEqual(refusals.on('i-a1', [mismatch, driver]), refused.slice(0, 1))
})

test('what is gone is forgotten', () => {
  const { refusals } = refusalsUnderTest()
  refusals.add(attachmentOf('1'), upf, 'PCIAddressMismatch')
  assert.deepEqual([refusals.forgetNodeENI('upf'), refusals.forgetNodeENI('upf')], [true, false])
  assert.equal(refusals.reasonAgainst('i-a1', upf), undefined)
  refusals.add(attachmentOf('2'), upf, 'PCIAddressMismatch')
  refusals.forgetInstance('i-a1')
  assert.equal(refusals.reasonAgainst('i-a1', upf), undefined)
})

function refusedFor(reason: string) {
  return { nodeENI: 'upf', generation: 1, reason }
}
