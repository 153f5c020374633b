// Which interface is called what.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { NodeENI } from '../../src/api/node-eni.ts'
import { altNames } from '../../src/device-plugin/alt-names.ts'
import { attachmentOf } from './cards.ts'
import { ClusterInMemory } from './cluster-in-memory.ts'

const plain = { enableDPDK: false }

test('an interface has the interfaceName of its NodeENI, by default the name of the NodeENI', () => {
  const nodeENIs = known({ control: { ...plain, interfaceName: 'n4' }, data: plain })
  assert.deepEqual(names([of('a', 'control', 1), of('b', 'data', 2)], nodeENIs), { a: 'n4', b: 'data' })
})

test('several that want one name are numbered by their device index, whichever came first', () => {
  const nodeENIs = known({ upf: plain, other: { ...plain, interfaceName: 'upf' } })
  const all = [of('a', 'upf', 3), of('b', 'upf', 1), of('c', 'other', 2)]
  assert.deepEqual(names(all, nodeENIs), { b: 'upf', c: 'upf-2', a: 'upf-3' })
})

test('a name that one has stays with it when another goes or comes', () => {
  const nodeENIs = known({ upf: plain })
  assert.deepEqual(names([of('a', 'upf', 3), of('b', 'upf', 1)], nodeENIs, { a: 'upf' }), { a: 'upf', b: 'upf-2' })
  assert.deepEqual(names([of('b', 'upf', 1)], nodeENIs, { b: 'upf-2' }), { b: 'upf-2' })
})

test('an ENI that takes the place of one on its way out waits for its name, instead of having a number for good', () => {
  const nodeENIs = known({ upf: plain })
  const old = deleting(of('old', 'upf', 1))
  assert.deepEqual(names([old, of('new', 'upf', 2)], nodeENIs, { old: 'upf' }), { old: 'upf' })
  assert.deepEqual(names([old, of('new', 'upf', 2)], nodeENIs), { new: 'upf' })
})

test('a name that the NodeENI does not ask for any more is given up', () => {
  const nodeENIs = known({ upf: { ...plain, interfaceName: 'n3' } })
  assert.deepEqual(names([of('a', 'upf', 1)], nodeENIs, { a: 'n2' }), { a: 'n3' })
})

test('a NodeENI whose own name looks like the number of another one comes first', () => {
  const nodeENIs = known({ upf: plain, 'upf-2': plain })
  const all = [of('a', 'upf', 1), of('b', 'upf', 2), of('c', 'upf-2', 3)]
  assert.deepEqual(names(all, nodeENIs), { a: 'upf', c: 'upf-2', b: 'upf-3' })
})

test('there is none for a DPDK card, for a NodeENI that is not known, and for a name that the kernel or ip does not take', () => {
  const nodeENIs = known({ dpdk: { enableDPDK: true }, ['x'.repeat(128)]: plain, if7: plain, y: plain })
  const all = ['dpdk', 'unknown', 'x'.repeat(128), 'if7', 'y'].map((nodeENI, index) => of(`${index}`, nodeENI, index))
  assert.deepEqual(names(all, nodeENIs), { 4: 'y' })
  assert.deepEqual(names([of('a', 'unknown', 1)], nodeENIs, { a: 'old' }), { a: 'old' })
})

function of(uid: string, nodeENI: string, deviceIndex: number): ENIAttachment {
  const attachment = attachmentOf({ uid, spec: { nodeENI } })
  return { ...attachment, status: { eni: { ...attachment.status?.eni, deviceIndex } } }
}

function deleting(attachment: ENIAttachment): ENIAttachment {
  return { ...attachment, metadata: { ...attachment.metadata, deletionTimestamp: '2030-01-01T00:00:00Z' } }
}

function known(specs: Readonly<Record<string, object>>): ReadonlyMap<string, NodeENI> {
  const cluster = new ClusterInMemory()
  for (const [name, spec] of Object.entries(specs)) cluster.addNodeENI(name, spec)
  return new Map(Array.from(cluster.state().nodeENIs, (nodeENI) => [nodeENI.metadata.name, nodeENI]))
}

function names(
  attachments: readonly ENIAttachment[],
  nodeENIs: ReadonlyMap<string, NodeENI>,
  kept: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return Object.fromEntries(altNames(attachments, nodeENIs, (uid) => kept[uid]))
}
