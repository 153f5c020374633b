// What is changed on an interface, and what is put back.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { isRecorded, linkChanges, type LinkRecord, recordOf, restoration } from '../../src/device-plugin/link-plan.ts'
import { linkOf } from './cards.ts'

const wanted = { mtu: 9000, altName: 'upf' }
const before = { mtu: 1500, isUp: false }
const record: LinkRecord = { before, mtu: 9000, altName: 'upf' }
const set = linkOf({ isUp: true, mtu: 9000, altNames: ['upf'] })

suite('an interface', () => {
  test('that is new is set up, with MTU and name', () => {
    assert.deepEqual(linkChanges(wanted, linkOf(), undefined), [
      { kind: 'set-mtu', mtu: 9000 },
      { kind: 'add-alt-name', altName: 'upf' },
      { kind: 'up' },
    ])
    assert.deepEqual(recordOf(wanted, linkOf(), undefined), record)
  })

  test('that is as wanted is left alone', () => {
    assert.deepEqual(linkChanges(wanted, set, record), [])
    assert.ok(isRecorded(wanted, set, record))
  })

  test("without an mtu in the NodeENI keeps the driver's, whatever that is", () => {
    assert.deepEqual(linkChanges({ ...wanted, mtu: undefined }, linkOf({ ...set, mtu: 1234 }), undefined), [])
  })

  test('gets the MTU that it had when the NodeENI has none any more', () => {
    assert.deepEqual(linkChanges({ ...wanted, mtu: undefined }, set, record), [{ kind: 'set-mtu', mtu: 1500 }])
    assert.deepEqual(recordOf({ ...wanted, mtu: undefined }, set, record), { before, altName: 'upf' })
  })

  test('loses the old name when the NodeENI wants another one', () => {
    assert.deepEqual(linkChanges({ ...wanted, altName: 'n3' }, set, record), [
      { kind: 'remove-alt-name', altName: 'upf' },
      { kind: 'add-alt-name', altName: 'n3' },
    ])
  })

  test('that is called so already needs no name beside it, and a name that others gave is not ours', () => {
    const named = linkOf({ isUp: true, mtu: 9000, name: 'upf' })
    assert.deepEqual(linkChanges(wanted, named, undefined), [])
    assert.equal(recordOf(wanted, named, undefined).altName, undefined)
    assert.equal(recordOf(wanted, set, undefined).altName, undefined)
  })

  test('keeps in its record how it was at first', () => {
    assert.deepEqual(recordOf({ ...wanted, mtu: 8000 }, set, record).before, before)
    assert.ok(!isRecorded({ ...wanted, mtu: 8000 }, set, record))
    assert.ok(!isRecorded(wanted, set, undefined))
  })
})

suite('at its release an interface', () => {
  test('is as before', () => {
    assert.deepEqual(restoration(set, record), [
      { kind: 'remove-alt-name', altName: 'upf' },
      { kind: 'set-mtu', mtu: 1500 },
      { kind: 'down' },
    ])
  })

  test('keeps what is not ours: up before us, an MTU that we have not set, a name that others gave', () => {
    assert.deepEqual(restoration(set, { before: { mtu: 1500, isUp: true } }), [])
  })

  test('that somebody has put back already is left alone', () => {
    assert.deepEqual(restoration(linkOf(), record), [])
  })
})
