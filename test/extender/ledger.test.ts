// The ledger: what watches say, ahead of them our own writes, and indexes that are never anything but a count of both.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Ledger } from '../../src/extender/ledger.ts'
import { advertised, attachment, ledgerOf, n3, node, nodeENI, pod, upf } from './ledger-world.ts'

function namesOn(ledger: Ledger, nodeName = 'a'): string[] {
  return ledger.attachmentsOn(nodeName).map(({ metadata }) => metadata.name)
}

test('an own write is there at once, and stays when the watch has it', () => {
  const ledger = ledgerOf()
  ledger.assume(attachment('x', { claim: 'pod-1', version: 5 }))
  assert.deepEqual(namesOn(ledger), ['x'])
  assert.equal(ledger.claimsOf('pod-1').length, 1)
  ledger.setWatched('x', attachment('x', { claim: 'pod-1', version: 5 }))
  ledger.attachmentsListed('9')
  assert.equal(ledger.claimsOf('pod-1').length, 1)
})

test('a watch event from before our write does not undo it, one from after it counts', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { version: 3 })] })
  ledger.assume(attachment('x', { claim: 'pod-1', version: 9 }))
  ledger.setWatched('x', attachment('x', { version: 4, status: advertised }))
  assert.equal(ledger.claimsOf('pod-1').length, 1)
  ledger.setWatched('x', attachment('x', { version: 10 }))
  assert.equal(ledger.claimsOf('pod-1').length, 0)
})

test('versions are compared as numbers', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { version: 9 })] })
  ledger.assume(attachment('x', { claim: 'pod-1', version: 10 }))
  ledger.setWatched('x', attachment('x', { version: 9 }))
  assert.equal(ledger.claimsOf('pod-1').length, 1)
})

test('an answer that comes after the watch has seen a later state is left out', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { version: 10 })] })
  ledger.assume(attachment('x', { claim: 'pod-1', version: 9 }))
  assert.equal(ledger.claimsOf('pod-1').length, 0)
})

test('an own write that no watch has shown is kept for any time, and over when a newer list does not have it', () => {
  const ledger = ledgerOf()
  ledger.assume(attachment('x', { claim: 'pod-1', version: 5 }))
  ledger.attachmentsListed('4')
  assert.deepEqual(namesOn(ledger), ['x'])
  ledger.attachmentsListed('5')
  assert.deepEqual(namesOn(ledger), [])
  assert.equal(ledger.claimsOf('pod-1').length, 0)
})

test('an answer that comes after the end of its object is left out, whether a watch or a list showed it', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { version: 3 })] })
  ledger.setWatched('x', undefined)
  ledger.assume(attachment('x', { version: 4 }))
  assert.deepEqual(namesOn(ledger), [])
  ledger.attachmentsListed('9')
  ledger.assume(attachment('y', { version: 9 }))
  assert.deepEqual(namesOn(ledger), [])
  ledger.assume(attachment('y', { version: 10 }))
  assert.deepEqual(namesOn(ledger), ['y'])
})

test('of two answers that overtook each other the newer one counts', () => {
  const ledger = ledgerOf()
  ledger.assume(attachment('x', { version: 6 }))
  ledger.assume(attachment('x', { claim: 'pod-1', version: 5 }))
  assert.equal(ledger.claimsOf('pod-1').length, 0)
})

test('an event that is told twice, or late, changes nothing', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { version: 7 })] })
  const heard: (string | undefined)[] = []
  ledger.onChange((name) => heard.push(name))
  ledger.setWatched('x', attachment('x', { version: 7 }))
  ledger.setWatched('x', attachment('x', { claim: 'pod-1', version: 6 }))
  assert.deepEqual(heard, [])
  ledger.setWatched('x', undefined)
  ledger.setWatched('x', attachment('x', { version: 6 }))
  assert.deepEqual(namesOn(ledger), [])
})

test("an attachment that cannot be read any more keeps its place and its slot, and is nobody's", () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { claim: 'pod-1', version: 3 })] })
  assert.equal(ledger.account('a').slotsLeft, 3)
  ledger.setWatched('x', { metadata: { name: 'x', uid: 'uid-x', resourceVersion: '4' }, place: {} })
  assert.deepEqual([namesOn(ledger), ledger.claimsOf('pod-1')], [[], []])
  assert.equal(ledger.account('a').slotsLeft, 3)
  assert.equal(ledger.account('a').countByNodeENI.get('upf'), 1)
  ledger.setWatched('x', undefined)
  assert.equal(ledger.account('a').slotsLeft, 4)
})

test('a deletion ends what was assumed of the object, but not of the one that has its name now', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { uid: 'old', version: 3 })] })
  ledger.assume(attachment('x', { uid: 'old', claim: 'pod-1', version: 4 }))
  ledger.setWatched('x', undefined)
  assert.deepEqual(namesOn(ledger), [])
  ledger.setWatched('x', attachment('x', { uid: 'second', version: 5 }))
  ledger.assume(attachment('x', { uid: 'new', claim: 'pod-1', version: 9 }))
  ledger.setWatched('x', undefined)
  assert.equal(ledger.claimsOf('pod-1').length, 1)
})

test('listeners hear of the node that changed, or of all nodes when a NodeENI did, until they stop', () => {
  const ledger = new Ledger()
  const heard: (string | undefined)[] = []
  const stop = ledger.onChange((name) => heard.push(name))
  ledger.setNode('a', node('a'))
  ledger.setNodeENI('upf', nodeENI('upf'))
  ledger.assume(attachment('x', { node: 'b' }))
  ledger.attachmentsListed('9')
  const resume = ledger.suspend('c')
  resume()
  ledger.setPod('cnf/p', pod('p', { node: 'd' }))
  stop()
  ledger.setNode('a', undefined)
  assert.deepEqual(heard, ['a', undefined, 'b', 'b', 'c', 'c', 'd'])
})

test('a listener of one node hears of that node alone', () => {
  const ledger = new Ledger()
  let heard = 0
  const stop = ledger.onNodeChange('a', () => (heard += 1))
  ledger.setNode('b', node('b'))
  ledger.setNodeENI('upf', nodeENI('upf'))
  assert.equal(heard, 0)
  ledger.setNode('a', node('a'))
  assert.equal(heard, 1)
  stop()
  ledger.setNode('a', undefined)
  assert.equal(heard, 1)
})

test('the end of a pod is news for the nodes where it had claims, and a change of its status for none', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { node: 'b', claim: 'p' })] })
  const heard: (string | undefined)[] = []
  ledger.setPod('cnf/p', pod('p'))
  ledger.onChange((name) => heard.push(name))
  ledger.setPod('cnf/p', pod('p'))
  assert.deepEqual(heard, [])
  ledger.setPod('cnf/p', undefined)
  assert.deepEqual(heard, ['b'])
})

test('the NodeENIs of a resource come by name, without those that are going away', () => {
  const nodeENIs = [
    nodeENI('c'),
    nodeENI('a'),
    nodeENI('b', { deleting: true }),
    nodeENI('e', { spec: { dpdkResourceName: n3 } }),
  ]
  const names = ledgerOf({ nodeENIs })
    .nodeENIsOf(upf)
    .map(({ metadata }) => metadata.name)
  assert.deepEqual(names, ['a', 'c'])
})

test('a node or NodeENI that is written without news is no change', () => {
  const ledger = ledgerOf()
  const heard: (string | undefined)[] = []
  ledger.onChange((name) => heard.push(name))
  ledger.setNode('a', node('a'))
  const counted = nodeENI('upf')
  ledger.setNodeENI('upf', { ...counted, status: { ...counted.status, attached: 7 } })
  assert.deepEqual(heard, [])
  ledger.setNode('a', node('a', { slots: 5 }))
  ledger.setNodeENI('upf', nodeENI('upf', { ready: false }))
  assert.deepEqual(heard, ['a', undefined])
})
