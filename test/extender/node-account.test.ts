// What one node has and what of it is taken, counted from the facts.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { accountOf, type NodeState, nothing, type ResourceAccount } from '../../src/extender/node-account.ts'
import { advertised, attachment, failing, n3, node, pod, terminal, upf } from './ledger-world.ts'

function account(state: Partial<NodeState> = {}) {
  return accountOf({ node: node('a'), attachments: [], unreadable: [], pods: [], isOver: () => false, ...state })
}

function upfOf(state: Partial<NodeState>): ResourceAccount {
  return account(state).resources.get(upf) ?? nothing
}

const namesOf = (attachments: readonly ENIAttachment[]) => attachments.map(({ metadata }) => metadata.name)
const heldBy = (name: string) => ({
  ...advertised,
  device: { ...advertised.device, inUseBy: { namespace: 'cnf', name } },
})
const ready = (name: string) => attachment(name, { status: advertised })
const unreadable = (place: object) => ({ metadata: { name: 'odd', uid: 'odd', resourceVersion: '1' }, place })

test('every ENI of ours takes a slot, whatever its state, from the intent until it is gone', () => {
  const attachments = [
    attachment('intent'),
    ready('ready'),
    attachment('failed', { status: { eni: { failure: terminal('no') } } }),
    attachment('released', { deleting: true }),
  ]
  const { slotsLeft, countByNodeENI } = account({ node: node('a', { slots: 5 }), attachments })
  assert.deepEqual([slotsLeft, countByNodeENI.get('upf')], [1, 4])
})

test('an ENI that somebody has moved to another instance takes no slot, of the node nor of its NodeENI', () => {
  const moved = { ...terminal('moved'), reason: 'ENIMoved' }
  const attachments = [attachment('moved', { status: { eni: { subnetID: 'subnet-1', failure: moved } } })]
  const { slotsLeft, countByNodeENI } = account({ attachments })
  assert.deepEqual([slotsLeft, countByNodeENI.get('upf')], [4, undefined])
})

test('what cannot be read takes a slot, of its NodeENI too, unless it says that it is on another instance', () => {
  const here = [unreadable({ nodeName: 'a', instanceID: 'i-a', nodeENI: 'upf' }), unreadable({ nodeName: 'a' })]
  const { slotsLeft, countByNodeENI } = account({
    unreadable: [...here, unreadable({ nodeName: 'a', instanceID: 'i-old', nodeENI: 'upf' })],
  })
  assert.deepEqual([slotsLeft, countByNodeENI.get('upf')], [2, 1])
})

test('where ENIs and volumes share a budget, the slots of the cards are told beside what the budget leaves', () => {
  const { capacity } = node('a')
  assert.ok(capacity)
  const { slotsLeft, cardSlotsLeft } = account({
    node: node('a', { capacity: { ...capacity, shared: 1 } }),
    attachments: [ready('x')],
  })
  assert.deepEqual([slotsLeft, cardSlotsLeft], [0, 3])
})

test('a node whose capacity is not known has no slot', () => {
  assert.equal(account({ node: node('a', { capacity: undefined }) }).slotsLeft, 0)
})

test('a node that nobody knows has nothing', () => {
  const { resources, slotsLeft } = account({ node: undefined, attachments: [ready('x')] })
  assert.deepEqual([resources.size, slotsLeft], [0, 0])
})

test('ENIs on their way are those that may still be attached', () => {
  const attachments = [
    attachment('intent'),
    attachment('made', { status: { eni: { eniID: 'eni-1' } } }),
    ready('there'),
    attachment('failed', { status: { eni: { failure: terminal('no') } } }),
    attachment('released', { deleting: true }),
  ]
  assert.equal(account({ attachments }).attaching, 2)
})

test('devices are counted by their resource', () => {
  const attachments = [ready('x'), attachment('y', { resource: n3, status: advertised })]
  const { resources } = account({ attachments })
  assert.deepEqual(namesOf(resources.get(upf)?.idle ?? []), ['x'])
  assert.deepEqual(namesOf(resources.get(n3)?.idle ?? []), ['y'])
})

test('claims are told by pod, and none of what is of no use any more', () => {
  const attachments = [
    attachment('x', { claim: 'pod-1' }),
    attachment('y', { claim: 'pod-1', status: advertised }),
    attachment('z', { claim: 'pod-2', deleting: true }),
  ]
  const { claimed } = upfOf({ attachments })
  assert.deepEqual(namesOf(claimed.get('pod-1') ?? []), ['x', 'y'])
  assert.equal(claimed.has('pod-2'), false)
})

test('a pod that another scheduler has bound takes a free device before the kubelet has said so', () => {
  const attachments = [ready('x'), ready('y')]
  assert.equal(upfOf({ attachments, pods: [pod('other', { node: 'a' })] }).idle.length, 1)
  assert.equal(upfOf({ attachments, pods: [pod('other', { node: 'a', demand: 5 })] }).idle.length, 0)
})

test('what such a pod holds or has claimed is not taken twice', () => {
  const pods = [pod('p', { node: 'a', demand: 2 })]
  const held = attachment('held', { status: heldBy('p') })
  const claimed = attachment('claimed', { claim: 'p', status: advertised })
  assert.deepEqual(namesOf(upfOf({ attachments: [held, claimed, ready('x')], pods }).idle), ['x'])
  assert.deepEqual(upfOf({ attachments: [held, ready('x')], pods }).idle, [])
  const both = attachment('both', { claim: 'p', status: heldBy('p') })
  assert.deepEqual(upfOf({ attachments: [both, ready('x')], pods }).idle, [])
})

test('it takes only what the kubelet has been offered: an ENI on its way stays for the next pod', () => {
  const attachments = [ready('ready'), attachment('coming', { status: { eni: { eniID: 'eni-1' } } })]
  const pods = [pod('other', { node: 'a', demand: 2 })]
  assert.deepEqual(namesOf(upfOf({ attachments, pods }).idle), ['coming'])
})

test('a device is free when the kubelet says so: not because its pod has ended', () => {
  const attachments = [attachment('x', { status: heldBy('ended') })]
  assert.deepEqual(upfOf({ attachments }).idle, [])
})

test('a device whose pod has ended is one that comes soon, by its claim and by its holder', () => {
  const isOver = (uid: string) => uid === 'ended'
  const soonOf = (one: ENIAttachment) =>
    namesOf(upfOf({ attachments: [one], isOver, pods: [pod('p', { node: 'a' })] }).soon)
  assert.deepEqual(soonOf(attachment('claimed', { claim: 'ended', status: advertised })), ['claimed'])
  assert.deepEqual(soonOf(attachment('held', { status: heldBy('gone') })), ['held'])
  assert.deepEqual(soonOf(attachment('both', { claim: 'ended', status: heldBy('gone') })), ['both'])
  assert.deepEqual(soonOf(attachment('living claim', { claim: 'p', status: advertised })), [])
  assert.deepEqual(soonOf(attachment('living holder', { claim: 'ended', status: heldBy('p') })), [])
  assert.deepEqual(soonOf(ready('idle')), [])
  assert.deepEqual(soonOf(attachment('released', { claim: 'ended', deleting: true })), [])
  const unhealthy = { ...advertised, device: { health: 'Unhealthy' as const } }
  assert.deepEqual(soonOf(attachment('unhealthy', { claim: 'ended', status: unhealthy })), [])
})

test('an ENI whose device cannot be offered makes its resource failing, unless a pod holds it', () => {
  const failure = failing('no driver')
  const broken = (inUseBy?: { namespace: string; name: string }) =>
    attachment('x', { status: { ...advertised, device: { failure, ...(inUseBy && { inUseBy }) } } })
  assert.equal(upfOf({ attachments: [broken()] }).isFailing, true)
  assert.equal(upfOf({ attachments: [broken({ namespace: 'cnf', name: 'p' })] }).isFailing, false)
})
