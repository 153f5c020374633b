// The pods that ask for managed devices and have not ended.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { PodBook } from '../../src/extender/pod-book.ts'
import { pod } from './ledger-world.ts'

function bookOf(...pods: ReturnType<typeof pod>[]): PodBook {
  const book = new PodBook()
  for (const one of pods) book.set(`${one.namespace}/${one.name}`, one)
  return book
}

test('of a node it has the pods bound to it, until they have ended', () => {
  const book = bookOf(pod('p', { node: 'a' }), pod('q', { node: 'b' }), pod('r'))
  assert.deepEqual(
    book.on('a').map(({ name }) => name),
    ['p'],
  )
  book.set('cnf/r', pod('r', { node: 'a' }))
  book.set('cnf/p', undefined)
  assert.deepEqual(
    book.on('a').map(({ name }) => name),
    ['r'],
  )
})

test('a pod is over for a node when it has ended or is bound to another node', () => {
  const book = bookOf(pod('p', { node: 'a' }), pod('q'))
  assert.deepEqual([book.isOver('p', 'a'), book.isOver('p', 'b'), book.isOver('q', 'a')], [false, true, false])
  book.set('cnf/p', undefined)
  assert.equal(book.isOver('p', 'a'), true)
})

test('a pod that nobody has told of may only be new: it is not over', () => {
  assert.equal(bookOf().isOver('new', 'a'), false)
})

test('a pod whose name another one has now has ended, although nobody saw it go', () => {
  const book = bookOf(pod('p', { node: 'a', uid: 'first' }))
  book.set('cnf/p', pod('p', { uid: 'second' }))
  assert.deepEqual([book.isOver('first', 'a'), book.isOver('second', 'a')], [true, false])
  assert.deepEqual(book.on('a'), [])
})
