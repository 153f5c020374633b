// filter, prioritize and preempt: pure functions of the request and the ledger.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { filter } from '../../src/extender/filter.ts'
import { refusals } from '../../src/extender/node-check.ts'
import { preempt } from '../../src/extender/preempt.ts'
import { prioritize } from '../../src/extender/prioritize.ts'
import { advertised, attachment, ledgerOf, node, terminal, upf } from './ledger-world.ts'

const one = new Map([[upf, 1]])

test('filter passes the nodes that can have the device and says of each other node why not', () => {
  const ledger = ledgerOf({ nodes: [node('a'), node('b', { slots: 0 }), node('c')] })
  assert.deepEqual(filter(ledger, 'pod-1', one, ['c', 'b', 'gone', 'a']), {
    NodeNames: ['c', 'a'],
    FailedAndUnresolvableNodes: { b: refusals.noSlot, gone: refusals.unknownNode },
    Error: '',
  })
})

test('filter answers for every name that it was asked about, and for no other', () => {
  const ledger = ledgerOf({ nodes: ['a', 'b', 'c'].map((name) => node(name)) })
  const { NodeNames, FailedAndUnresolvableNodes } = filter(ledger, 'pod-1', one, ['b', 'x'])
  assert.deepEqual([...NodeNames, ...Object.keys(FailedAndUnresolvableNodes)].sort(), ['b', 'x'])
})

test('a pod with a live claim gets only its claimed node', () => {
  const attachments = [attachment('x', { node: 'b', claim: 'pod-1' })]
  const ledger = ledgerOf({ nodes: [node('a'), node('b')], attachments })
  const { NodeNames, FailedAndUnresolvableNodes } = filter(ledger, 'pod-1', one, ['a', 'b'])
  assert.deepEqual(NodeNames, ['b'])
  assert.deepEqual(FailedAndUnresolvableNodes, { a: refusals.claimedElsewhere })
  assert.deepEqual(filter(ledger, 'pod-2', one, ['a', 'b']).NodeNames, ['a', 'b'])
})

test('a pod whose claimed node is not among the names asked about may go to any node', () => {
  const attachments = [attachment('x', { node: 'b', claim: 'pod-1' })]
  const ledger = ledgerOf({ nodes: [node('a'), node('b'), node('c')], attachments })
  assert.deepEqual(filter(ledger, 'pod-1', one, ['a', 'c']).NodeNames, ['a', 'c'])
})

test('a pod whose claimed node no longer has all that it needs may go to any node', () => {
  const attachments = [attachment('x', { node: 'b', claim: 'pod-1' })]
  const ledger = ledgerOf({ nodes: [node('a'), node('b', { slots: 1 })], attachments })
  const { NodeNames, FailedAndUnresolvableNodes } = filter(ledger, 'pod-1', new Map([[upf, 2]]), ['a', 'b'])
  assert.deepEqual(NodeNames, ['a'])
  assert.deepEqual(FailedAndUnresolvableNodes, { b: refusals.noSlot })
})

test('a claim that failed, is being released or was left by another instance holds the pod nowhere', () => {
  const dead = [
    attachment('x', { node: 'b', claim: 'pod-1', status: { eni: { failure: terminal('no') } } }),
    attachment('x', { node: 'b', claim: 'pod-1', deleting: true }),
    attachment('x', { node: 'b', claim: 'pod-1', instanceID: 'i-old' }),
  ]
  for (const claim of dead) {
    const ledger = ledgerOf({ nodes: [node('a'), node('b')], attachments: [claim] })
    assert.deepEqual(filter(ledger, 'pod-1', one, ['a', 'b']).NodeNames, ['a', 'b'])
  }
})

test('prioritize puts a device that is there before any number of free slots, and more slots before fewer', () => {
  const nodes = [node('a'), node('b', { slots: 3 }), node('c', { slots: 100 }), node('d', { slots: 0 })]
  const ledger = ledgerOf({ nodes, attachments: [attachment('idle', { status: advertised })] })
  const scores = prioritize(ledger, 'pod-1', one, ['a', 'b', 'c', 'd'])
  assert.deepEqual(scores, [
    { Host: 'a', Score: 10 },
    { Host: 'b', Score: 2 },
    { Host: 'c', Score: 8 },
    { Host: 'd', Score: 0 },
  ])
})

test('every score is a whole number from 0 to 10, or kube-scheduler drops them all', () => {
  for (let slots = 0; slots < 40; slots++) {
    const [{ Score } = { Score: -1 }] = prioritize(ledgerOf({ nodes: [node('a', { slots })] }), 'pod-1', one, ['a'])
    assert.ok(Number.isInteger(Score) && Score >= 0 && Score <= 10, `${slots} slots: ${Score}`)
  }
})

test('preempt keeps the candidates that filter would pass, with their victims as they came', () => {
  const ledger = ledgerOf({ nodes: [node('a'), node('b', { slots: 0 })] })
  const victims = {
    a: { Pods: [{ UID: 'v-1' }, { UID: 'v-2' }], NumPDBViolations: 1 },
    b: { Pods: [{ UID: 'v-3' }], NumPDBViolations: 0 },
  }
  assert.deepEqual(preempt(ledger, 'pod-1', one, victims), { NodeNameToMetaVictims: { a: victims.a } })
})

test('preempt evicts nobody on another node than the one where the pod has its ENI claimed', () => {
  const attachments = [attachment('x', { node: 'b', claim: 'pod-1' })]
  const ledger = ledgerOf({ nodes: [node('a'), node('b')], attachments })
  const none = { Pods: [], NumPDBViolations: 0 }
  const { NodeNameToMetaVictims } = preempt(ledger, 'pod-1', one, { a: none, b: none })
  assert.deepEqual(Object.keys(NodeNameToMetaVictims), ['b'])
})

test('filter, prioritize and preempt change nothing', () => {
  const ledger = ledgerOf({ attachments: [attachment('idle', { status: advertised })] })
  let changes = 0
  ledger.onChange(() => (changes += 1))
  for (let time = 0; time < 3; time++) {
    assert.deepEqual(filter(ledger, `pod-${time}`, one, ['a']).NodeNames, ['a'])
    prioritize(ledger, `pod-${time}`, one, ['a'])
    preempt(ledger, `pod-${time}`, one, { a: { Pods: null, NumPDBViolations: 0 } })
  }
  assert.equal(changes, 0)
})
