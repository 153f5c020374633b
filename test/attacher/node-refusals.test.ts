// Which NodeENIs a node cannot serve, for how long, and what of it survives a restart.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { RefusedNodeENI } from '../../src/api/node-capacity.ts'
import { NodeRefusals } from '../../src/attacher/node-refusals.ts'
import type { NodeFacts } from '../../src/kube/objects.ts'

import { attachmentOf, nodeENIOf, nodeOf } from './objects.ts'
import { TestClock } from './test-clock.ts'

const upf = nodeENIOf('upf')
const changed = nodeENIOf('upf', {}, 0, 2)
const minutes = (count: number) => count * 60_000

function refusalsUnderTest() {
  const clock = new TestClock()
  return { clock, refusals: new NodeRefusals(clock) }
}

test('a missing driver is forgotten after five minutes, the first time', () => {
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

/** Fails so often, each time as soon as it is tried again; answers how long each rest was, in minutes. */
function restsOf(reason: string, times: number, { clock, refusals } = refusalsUnderTest()): number[] {
  return Array.from({ length: times }, (_, n) => {
    refusals.add(attachmentOf(`${reason}-${n}`), upf, reason)
    const restMs = refusals.endsInMs(upf)
    clock.jump(restMs)
    refusals.haveEnded(upf)
    return Math.round(restMs / minutes(1))
  })
}

test('a rest is twice as long after each try that fails alike, up to six hours', () => {
  assert.deepEqual(restsOf('DriverMissing', 9), [5, 10, 20, 40, 80, 160, 320, 360, 360])
})

test('what EC2 refuses is tried again every five minutes: it is put right elsewhere, and nothing tells when', () => {
  const { clock, refusals } = refusalsUnderTest()
  for (const name of ['1', '2', '3']) {
    assert.equal(refusals.addOfEC2(attachmentOf(name), upf, 'UnauthorizedOperation'), true)
    assert.equal(refusals.addOfEC2(attachmentOf(name), upf, 'UnauthorizedOperation'), false)
    assert.equal(refusals.endsInMs(upf), minutes(5))
    clock.jump(minutes(5))
    refusals.haveEnded(upf)
  }
})

test('another reason, another NodeENI, another instance and another generation begin with five minutes', () => {
  const under = refusalsUnderTest()
  restsOf('DriverMissing', 3, under)
  const others = [
    () => under.refusals.add(attachmentOf('1'), upf, 'NoIOMMU'),
    () => under.refusals.add(attachmentOf('2'), nodeENIOf('n6'), 'DriverMissing'),
    () => under.refusals.add(onInstance('3', 'i-other'), upf, 'DriverMissing'),
    () => under.refusals.add(attachmentOf('4'), changed, 'DriverMissing'),
  ]
  for (const fail of others) fail()
  under.clock.jump(minutes(5))
  for (const nodeENI of [upf, nodeENIOf('n6'), changed]) assert.equal(under.refusals.endsInMs(nodeENI), Infinity)
})

test('several that fail at the same time are one try', () => {
  const { clock, refusals } = refusalsUnderTest()
  for (const name of ['1', '2', '3']) refusals.add(attachmentOf(name), upf, 'DriverMissing')
  assert.equal(refusals.endsInMs(upf), minutes(5))
  clock.jump(minutes(5))
  refusals.add(attachmentOf('4'), upf, 'DriverMissing')
  assert.equal(refusals.endsInMs(upf), minutes(10))
})

test('after a restart a rest begins anew, as long as it was', () => {
  const under = refusalsUnderTest()
  restsOf('DriverMissing', 2, under)
  under.refusals.add(attachmentOf('3'), upf, 'DriverMissing')
  const [refused] = under.refusals.on('i-a1', [upf])
  assert.deepEqual(refused, { ...refusedFor('DriverMissing'), tries: 3 })
  const next = refusalsUnderTest()
  next.refusals.learn([nodeThatRefused('a1', refusedFor('DriverMissing'), { tries: 3 })])
  assert.equal(next.refusals.endsInMs(upf), minutes(20))
})

test('a node that was restarted is tried at once, but for what only the NodeENI can mend', () => {
  const { refusals } = refusalsUnderTest()
  refusals.add(attachmentOf('1'), upf, 'DriverMissing')
  refusals.add(attachmentOf('2'), nodeENIOf('n6'), 'PCIAddressMismatch')
  assert.deepEqual([refusals.mended('i-a1'), refusals.mended('i-a1')], [true, false])
  assert.equal(refusals.reasonAgainst('i-a1', upf), undefined)
  assert.equal(refusals.reasonAgainst('i-a1', nodeENIOf('n6')), 'PCIAddressMismatch')
})

test('a node that was restarted while no attacher ran is tried at once', () => {
  const { refusals } = refusalsUnderTest()
  const [driver, mismatch] = [refusedFor('DriverMissing'), { ...refusedFor('PCIAddressMismatch'), nodeENI: 'n6' }]
  const before = nodeThatRefused('a1', driver)
  const capacity = { instanceID: 'i-a1', cards: [], bootID: 'boot-1', refused: [driver, mismatch] }
  refusals.learn([{ ...before, bootID: 'boot-2', capacity }])
  assert.deepEqual(refusals.on('i-a1', [upf, nodeENIOf('n6')]), [mismatch])
})

test('after an ENI that worked, the next failure is the first again', () => {
  const under = refusalsUnderTest()
  restsOf('DriverMissing', 3, under)
  const bornAt = (ms: number) => {
    const one = attachmentOf('good', { status: { device: { advertised: true } } })
    return { ...one, metadata: { ...one.metadata, creationTimestamp: new Date(ms).toISOString() } }
  }
  under.refusals.worked(bornAt(under.clock.now() - minutes(60)))
  assert.deepEqual(restsOf('DriverMissing', 1, under), [40], 'an ENI that is older says nothing')
  under.refusals.worked(bornAt(under.clock.now()))
  assert.deepEqual(restsOf('DriverMissing', 1, under), [5])
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
  refusals.learn([nodeThatRefused('a2', refusedFor('NoIOMMU')), nodeThatRefused('a3', refusedFor('NodeFull'))])
  refusals.add(attachmentOf('1'), upf, 'PCIAddressMismatch')
  const mismatch = { nodeName: 'a1', reason: 'PCIAddressMismatch' }
  assert.deepEqual(refusals.nodesRefusing(upf), [mismatch, { nodeName: 'a2', reason: 'NoIOMMU' }])
  clock.jump(minutes(5))
  assert.deepEqual(refusals.nodesRefusing(upf), [mismatch])
})

test('after a restart the annotation of the very instance is believed, and a rest begins anew', () => {
  const { clock, refusals } = refusalsUnderTest()
  const refused = ['PCIAddressMismatch', 'DriverMissing'].map((reason) => ({ nodeENI: reason, generation: 1, reason }))
  const capacity = (instanceID: string) => ({ instanceID, cards: [], bootID: 'boot-1', refused })
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

function nodeThatRefused(name: string, refused: RefusedNodeENI, more: Partial<RefusedNodeENI> = {}): NodeFacts {
  const node = nodeOf(name)
  const capacity = { instanceID: `i-${name}`, cards: [], bootID: node.bootID, refused: [{ ...refused, ...more }] }
  return { ...node, capacity }
}

function onInstance(name: string, instanceID: string): ENIAttachment {
  const one = attachmentOf(name)
  return { ...one, spec: { ...one.spec, instanceID } }
}
