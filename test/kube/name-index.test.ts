// Names by key: each name under the key that its object has now, and nothing kept of what has gone.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { NameIndex } from '../../src/kube/name-index.ts'

interface Thing {
  readonly node?: string
}

test('a name is found under the key that its object has now', () => {
  const index = new NameIndex<Thing>(({ node }) => node)
  index.changed('1', { node: 'a' }, undefined)
  index.changed('2', { node: 'a' }, undefined)
  index.changed('1', { node: 'b' }, { node: 'a' })
  assert.deepEqual(index.names('a'), ['2'])
  assert.deepEqual(index.names('b'), ['1'])
  index.changed('1', {}, { node: 'b' })
  index.changed('2', undefined, { node: 'a' })
  assert.deepEqual([index.names('a'), index.names('b')], [[], []])
})
