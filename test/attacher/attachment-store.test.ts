// The attacher's picture of the ENIAttachments, by node and by instance.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'

import { type ENIAttachment, eniAttachmentSchema } from '../../src/api/eni-attachment.ts'
import { deviceFinalizer, eniFinalizer } from '../../src/api/names.ts'

import { storeUnderTest } from './store-under-test.ts'

const log = pino({ level: 'silent' })

test('an object that got the name of another is not let go in its place', async (t) => {
  const { store, objects, add, remove } = await storeUnderTest(t, log)
  const old = eniAttachmentSchema.parse(await add('n6'))
  await remove('n6')
  await add('n6')
  await assert.rejects(store.removeFinalizer(old, deviceFinalizer))
  assert.deepEqual(objects.get('n6')?.metadata.finalizers, [deviceFinalizer, eniFinalizer])
})

test('a node has those of its name, an instance only its own', async (t) => {
  const { store, add, remove } = await storeUnderTest(t, log)
  await add('1')
  await add('2', { instanceID: 'i-new' })
  await add('3', { nodeName: 'a2', instanceID: 'i-a2' })
  const names = (all: readonly ENIAttachment[]) => all.map(({ metadata }) => metadata.name).toSorted()
  assert.deepEqual(names(store.onNode('a1')), ['1', '2'])
  assert.deepEqual(names(store.onInstance({ nodeName: 'a1', instanceID: 'i-new' })), ['2'])
  await remove('1')
  assert.deepEqual(names(store.onNode('a1')), ['2'])
  assert.deepEqual(names(store.onNode('a3')), [])
})
