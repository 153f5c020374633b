// Wake-up: a refused pod is tried again when a device, slot or subnet frees, the oldest first, and no more pods than there is room.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Claim } from '../../src/api/eni-attachment.ts'
import { ExtenderUnderTest } from './extender-under-test.ts'
import { advertised, attachment, nodeENI, upf } from './ledger-world.ts'

const gatherMs = 20

function refuse(extender: ExtenderUnderTest, name: string, devices = 1): Claim {
  const claim = extender.addPod(name, devices)
  extender.wakeUp.refused({ ...claim, demand: new Map([[upf, devices]]) })
  return claim
}

/** As a pod that ends: its device is idle. */
async function free(extender: ExtenderUnderTest, ...names: string[]): Promise<void> {
  for (const name of names) extender.setClaim(name, undefined)
  await extender.ledgerIs((ledger) => names.every((name) => ledger.attachment(name)?.spec.claim === undefined))
  extender.clock.advance(gatherMs)
}

const full = (count: number) => ({
  nodes: { a: count },
  attachments: Array.from({ length: count }, (_, n) =>
    attachment(`x${n}`, { claim: `holder-${n}`, status: advertised }),
  ),
})

test('a pod is woken by a condition on its status, which re-queues it and no other', async (t) => {
  const extender = await ExtenderUnderTest.start(t, full(1))
  const claim = refuse(extender, 'upf-0')
  await free(extender, 'x0')
  const awake = await extender.api.until('pods', 'cnf/upf-0', (pod) => pod?.['status'] !== undefined)
  assert.partialDeepStrictEqual(awake, {
    metadata: { uid: claim.uid },
    status: { conditions: [{ type: 'networking.k8s.aws/ENIAvailable', status: 'True', reason: 'CapacityFreed' }] },
  })
  const patch = extender.api.requests.find(({ method }) => method === 'PATCH')
  assert.equal(patch?.contentType, 'application/strategic-merge-patch+json')
})

test('the oldest pods are woken first, and only as many as there is room', async (t) => {
  const extender = await ExtenderUnderTest.start(t, full(4))
  for (const name of ['upf-3', 'upf-1', 'upf-2', 'upf-0']) refuse(extender, name)
  await free(extender, 'x0')
  assert.deepEqual(extender.woken, ['upf-3'])
  await free(extender, 'x1')
  assert.deepEqual(extender.woken, ['upf-3', 'upf-1', 'upf-2'], 'x0 is still idle: upf-3 has not claimed it yet')
})

test('free slots and free devices count together, and each pod takes what it asks for', async (t) => {
  const extender = await ExtenderUnderTest.start(t, { ...full(3), nodes: { a: 4 } })
  refuse(extender, 'big', 3)
  for (const name of ['upf-0', 'upf-1', 'upf-2']) refuse(extender, name)
  await free(extender, 'x0')
  assert.deepEqual(extender.woken, ['upf-0', 'upf-1'])
  await free(extender, 'x1')
  assert.deepEqual(extender.woken, ['upf-0', 'upf-1', 'big'])
})

test('changes that come together are gathered: a pod is woken once', async (t) => {
  const extender = await ExtenderUnderTest.start(t, full(2))
  refuse(extender, 'upf-0')
  await free(extender, 'x0', 'x1')
  extender.clock.advance(gatherMs)
  assert.deepEqual(extender.woken, ['upf-0'])
  assert.deepEqual(extender.clock.delays, [])
})

test('a pod that filter has passed since is left alone', async (t) => {
  const extender = await ExtenderUnderTest.start(t, full(2))
  const first = refuse(extender, 'upf-0')
  refuse(extender, 'upf-1')
  extender.wakeUp.accepted(first.uid)
  await free(extender, 'x0', 'x1')
  assert.deepEqual(extender.woken, ['upf-1'])
})

test('the turn of a pod that is gone goes to the next', async (t) => {
  const extender = await ExtenderUnderTest.start(t, full(1))
  extender.deletePod(refuse(extender, 'upf-0'))
  refuse(extender, 'upf-1')
  await free(extender, 'x0')
  assert.deepEqual(extender.woken, ['upf-0'])
  await extender.clock.timerFor(gatherMs)
  extender.clock.advance(gatherMs)
  assert.deepEqual(extender.woken, ['upf-0', 'upf-1'])
})

test('a pod whose name another one has now is not woken in its place', async (t) => {
  const extender = await ExtenderUnderTest.start(t, full(1))
  extender.deletePod(refuse(extender, 'upf-0'))
  extender.addPod('upf-0')
  refuse(extender, 'upf-1')
  await free(extender, 'x0')
  await extender.clock.timerFor(gatherMs)
  extender.clock.advance(gatherMs)
  assert.deepEqual(extender.woken, ['upf-0', 'upf-1'])
  const { status } = extender.api.store('pods').get('cnf/upf-0') as { status?: object }
  assert.equal(status, undefined)
})

test('a wake-up that the API server did not take is tried again', async (t) => {
  const extender = await ExtenderUnderTest.start(t, full(1))
  refuse(extender, 'upf-0')
  extender.api.disturb = ({ method }) => (method === 'PATCH' ? { when: 'before', answer: 503 } : undefined)
  await free(extender, 'x0')
  await extender.clock.timerFor(1_000)
  extender.api.disturb = () => undefined
  extender.clock.advance(1_000)
  extender.clock.advance(gatherMs)
  await extender.api.until('pods', 'cnf/upf-0', (pod) => pod?.['status'] !== undefined)
  assert.deepEqual(extender.woken, ['upf-0', 'upf-0'])
})

test('a pod that is woken twice within a second is changed twice, or the scheduler would not see the second', async (t) => {
  const extender = await ExtenderUnderTest.start(t, full(2))
  const messageOf = (pod: unknown) => {
    const { conditions } = (pod as { status?: { conditions: { message: string }[] } }).status ?? {}
    return conditions?.[0]?.message
  }
  const claim = refuse(extender, 'upf-0')
  await free(extender, 'x0')
  const first = await extender.api.until('pods', 'cnf/upf-0', (pod) => messageOf(pod) !== undefined)
  extender.wakeUp.refused({ ...claim, demand: new Map([[upf, 2]]) })
  await free(extender, 'x1')
  await extender.api.until('pods', 'cnf/upf-0', (pod) => messageOf(pod) !== messageOf(first))
})

test('a NodeENI that becomes usable wakes pods on any of its nodes', async (t) => {
  const extender = await ExtenderUnderTest.start(t, { nodes: { a: 1, b: 1 } })
  const exhausted = nodeENI('upf', { subnets: [{ exhausted: true }] })
  extender.api.store('nodeenis').update('upf', (object) => ({ ...object, status: exhausted.status }))
  await extender.ledgerIs((ledger) => ledger.nodeENIsOf(upf)[0]?.status?.subnets?.[0]?.exhausted === true)
  for (const name of ['upf-0', 'upf-1', 'upf-2']) refuse(extender, name)
  extender.api.store('nodeenis').update('upf', (object) => ({ ...object, status: nodeENI('upf').status }))
  await extender.ledgerIs((ledger) => ledger.nodeENIsOf(upf)[0]?.status?.subnets?.[0]?.exhausted === false)
  extender.clock.advance(gatherMs)
  assert.deepEqual(extender.woken, ['upf-0', 'upf-1'])
})
