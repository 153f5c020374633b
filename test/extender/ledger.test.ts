// The ledger: what watches say, ahead of them our own writes, and indexes that are never anything but a count of both.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { Ledger } from '../../src/extender/ledger.ts'
import { advertised, attachment, ledgerOf, n3, node, nodeENI, upf } from './ledger-world.ts'

const at = 1_000

function namesOn(ledger: Ledger, nodeName = 'a'): string[] {
  return ledger.attachmentsOn(nodeName).map(({ metadata }) => metadata.name)
}

test('an own write is there at once, and stays when the watch has it', () => {
  const ledger = ledgerOf()
  ledger.assume(attachment('x', { claim: 'pod-1', version: 5 }), at)
  assert.deepEqual(namesOn(ledger), ['x'])
  assert.equal(ledger.claimsOf('pod-1').length, 1)
  ledger.setWatched('x', attachment('x', { claim: 'pod-1', version: 5 }))
  ledger.forgetStale(at + 3_600_000)
  assert.equal(ledger.claimsOf('pod-1').length, 1)
})

test('a watch event from before our write does not undo it, one from after it counts', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { version: 3 })] })
  ledger.assume(attachment('x', { claim: 'pod-1', version: 9 }), at)
  ledger.setWatched('x', attachment('x', { version: 4, status: advertised }))
  assert.equal(ledger.claimsOf('pod-1').length, 1)
  ledger.setWatched('x', attachment('x', { version: 10 }))
  assert.equal(ledger.claimsOf('pod-1').length, 0)
})

test('versions are compared as numbers', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { version: 9 })] })
  ledger.assume(attachment('x', { claim: 'pod-1', version: 10 }), at)
  ledger.setWatched('x', attachment('x', { version: 9 }))
  assert.equal(ledger.claimsOf('pod-1').length, 1)
})

test('an answer that comes after the watch has seen a later state is left out', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { version: 10 })] })
  ledger.assume(attachment('x', { claim: 'pod-1', version: 9 }), at)
  assert.equal(ledger.claimsOf('pod-1').length, 0)
})

test('an own write that no watch confirms is forgotten after 30 s: the object was deleted unseen', () => {
  const ledger = ledgerOf()
  ledger.assume(attachment('x', { claim: 'pod-1' }), at)
  ledger.forgetStale(at + 29_999)
  assert.deepEqual(namesOn(ledger), ['x'])
  ledger.forgetStale(at + 30_000)
  assert.deepEqual(namesOn(ledger), [])
  assert.equal(ledger.claimsOf('pod-1').length, 0)
})

test('a deletion ends what was assumed of the object, but not of the one that has its name now', () => {
  const ledger = ledgerOf({ attachments: [attachment('x', { uid: 'old', version: 3 })] })
  ledger.assume(attachment('x', { uid: 'old', claim: 'pod-1', version: 4 }), at)
  ledger.setWatched('x', undefined)
  assert.deepEqual(namesOn(ledger), [])
  ledger.setWatched('x', attachment('x', { uid: 'old', version: 5 }))
  ledger.assume(attachment('x', { uid: 'new', claim: 'pod-1', version: 9 }), at)
  ledger.setWatched('x', undefined)
  assert.equal(ledger.claimsOf('pod-1').length, 1)
})

test('listeners hear of the node that changed, or of all nodes when a NodeENI did, until they stop', () => {
  const ledger = new Ledger()
  const heard: (string | undefined)[] = []
  const stop = ledger.onChange((name) => heard.push(name))
  ledger.setNode('a', node('a'))
  ledger.setNodeENI('upf', nodeENI('upf'))
  ledger.assume(attachment('x', { node: 'b' }), at)
  ledger.setWatched('x', undefined)
  ledger.suspend('c', at)
  ledger.forgetStale(at)
  stop()
  ledger.setNode('a', undefined)
  assert.deepEqual(heard, ['a', undefined, 'b', 'b', 'c', 'c'])
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

/** One object name, as the API server has it: versions grow, and a name may come back with another uid. */
const step = fc.record({
  name: fc.constantFrom('x', 'y', 'z'),
  node: fc.constantFrom('a', 'b'),
  claim: fc.option(fc.constantFrom('pod-1', 'pod-2'), { nil: undefined }),
  kind: fc.constantFrom('our write', 'their write', 'delete', 'watch', 'relist', 'time'),
})

test('after any sequence of writes, watch events and time, the indexes equal a count from scratch', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const ledger = new Ledger()
      const server = new Map<string, ReturnType<typeof attachment>>()
      const unseen: [string, ReturnType<typeof attachment> | undefined][] = []
      let version = 0
      let now = at
      for (const { name, node: nodeName, claim, kind } of steps) {
        const before = server.get(name)
        if (kind === 'our write' || kind === 'their write') {
          version += 1
          const uid = before?.metadata.uid ?? `uid-${version}`
          // A living object never changes its node.
          const fixed = before?.spec.nodeName ?? nodeName
          const written = attachment(name, { node: fixed, uid, version, ...(claim !== undefined && { claim }) })
          server.set(name, written)
          unseen.push([name, written])
          if (kind === 'our write') ledger.assume(written, now)
        } else if (kind === 'delete') {
          if (server.delete(name)) unseen.push([name, undefined])
        } else if (kind === 'watch') {
          const event = unseen.shift()
          if (event !== undefined) ledger.setWatched(...event)
        } else if (kind === 'relist') {
          for (const event of unseen.splice(0)) ledger.setWatched(...event)
        } else {
          now += 10_000
          ledger.forgetStale(now)
        }
        checkIndexes(ledger)
      }
      for (const event of unseen) ledger.setWatched(...event)
      ledger.forgetStale(now + 30_000)
      checkIndexes(ledger)
      for (const name of ['x', 'y', 'z']) assert.deepEqual(ledger.attachment(name), server.get(name))
    }),
  )
})

function checkIndexes(ledger: Ledger): void {
  const known = ['x', 'y', 'z'].map((name) => ledger.attachment(name)).filter((found) => found !== undefined)
  const names = (found: ReturnType<typeof attachment>[]) => found.map(({ metadata }) => metadata.name).sort()
  for (const nodeName of ['a', 'b']) {
    assert.deepEqual(
      names(ledger.attachmentsOn(nodeName)),
      names(known.filter(({ spec }) => spec.nodeName === nodeName)),
    )
  }
  for (const pod of ['pod-1', 'pod-2']) {
    assert.deepEqual(names(ledger.claimsOf(pod)), names(known.filter(({ spec }) => spec.claim?.uid === pod)))
  }
}
