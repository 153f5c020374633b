// A device of the fleet has one holder at most, and a pod gets all that it asks for or nothing.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { DeviceBook } from '../../sim/fleet/device-book.ts'

const upf = 'intel.com/upf_dataplane'
const n3 = 'intel.com/n3'
const pod = (uid: string) => ({ namespace: 'cnf', name: uid, uid })
const nobodys = () => false

function bookWith(...devices: readonly (readonly [key: string, resource: string])[]): DeviceBook {
  const book = new DeviceBook()
  for (const [key, resource] of devices) book.offer({ key, nodeName: 'a', resource })
  return book
}

test('gives a device to one pod until that has let it go', () => {
  const book = bookWith(['d', upf])
  assert.deepEqual(book.allocate(pod('one'), 'a', new Map([[upf, 1]]), nobodys), { ok: true, keys: ['d'] })
  assert.deepEqual(book.allocate(pod('two'), 'a', new Map([[upf, 1]]), nobodys), {
    ok: false,
    resource: upf,
    requested: 1,
    available: 0,
  })
  assert.equal(book.holderOf('d')?.uid, 'one')
  assert.deepEqual(book.release('one'), ['d'])
  assert.deepEqual(book.allocate(pod('two'), 'a', new Map([[upf, 1]]), nobodys), { ok: true, keys: ['d'] })
})

test('prefers claimed devices, as the plugin advises', () => {
  const book = bookWith(['d1', upf], ['d2', upf])
  assert.deepEqual(
    book.allocate(pod('one'), 'a', new Map([[upf, 1]]), (key) => key === 'd2'),
    { ok: true, keys: ['d2'] },
  )
})

test('gives nothing of one resource when there is too little of another', () => {
  const book = bookWith(['d', upf])
  const both = new Map([
    [upf, 1],
    [n3, 1],
  ])
  assert.equal(book.allocate(pod('one'), 'a', both, nobodys).ok, false)
  assert.equal(book.holderOf('d'), undefined)
})

test('devices of another node, and those withdrawn, are not given', () => {
  const book = bookWith(['d', upf])
  assert.equal(book.allocate(pod('one'), 'b', new Map([[upf, 1]]), nobodys).ok, false)
  book.withdraw('d')
  assert.equal(book.isOffered('d'), false)
  assert.equal(book.allocate(pod('one'), 'a', new Map([[upf, 1]]), nobodys).ok, false)
})
