// The attacher's picture of the ENIAttachments, by node and by instance.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'

import { type ENIAttachment, eniAttachmentSchema, newAttachment } from '../../src/api/eni-attachment.ts'
import { deviceFinalizer, eniFinalizer } from '../../src/api/names.ts'
import { AttachmentStore } from '../../src/attacher/attachment-store.ts'
import { Cluster } from '../../src/kube/cluster.ts'
import { Informer } from '../../src/kube/informer.ts'
import { attachmentParser } from '../../src/kube/objects.ts'
import { attachmentsPath } from '../../src/kube/resource.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'

const log = pino({ level: 'silent' })

async function storeUnderTest(t: TestContext) {
  const api = await FakeApiServer.start()
  const stop = new AbortController()
  const cluster = new Cluster(api.kubeconfig)
  const watched = new Informer<ENIAttachment>({ cluster, path: attachmentsPath, parse: attachmentParser(log), log })
  const store = new AttachmentStore(cluster, watched)
  const running = watched.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await running
    await api.stop()
  })
  await watched.synced
  const objects = api.store('eniattachments')
  /** Resolves once the store knows it. */
  const add = async (name: string, nodeName: string, instanceID: string) => {
    const known = new Promise<void>((resolve) => watched.onChange((key, after) => key === name && after && resolve()))
    const body = newAttachment(name, { nodeENI: 'upf', nodeName, instanceID })
    const object = objects.create(body as { metadata: { name: string } })
    await known
    return eniAttachmentSchema.parse(object)
  }
  const remove = async (name: string) => {
    const gone = new Promise<void>((resolve) => watched.onChange((key, after) => key === name && !after && resolve()))
    objects.update(name, (object) => ({ ...object, metadata: { ...object.metadata, finalizers: [] } }))
    objects.delete(name)
    await gone
  }
  return { store, objects, add, remove }
}

test('an object that got the name of another is not let go in its place', async (t) => {
  const { store, objects, add, remove } = await storeUnderTest(t)
  const old = await add('n6', 'a1', 'i-a1')
  await remove('n6')
  await add('n6', 'a1', 'i-a1')
  await assert.rejects(store.removeFinalizer(old, deviceFinalizer))
  assert.deepEqual(objects.get('n6')?.metadata.finalizers, [deviceFinalizer, eniFinalizer])
})

test('a node has those of its name, an instance only its own', async (t) => {
  const { store, add, remove } = await storeUnderTest(t)
  await add('1', 'a1', 'i-a1')
  await add('2', 'a1', 'i-new')
  await add('3', 'a2', 'i-a2')
  const names = (all: readonly ENIAttachment[]) => all.map(({ metadata }) => metadata.name).toSorted()
  assert.deepEqual(names(store.onNode('a1')), ['1', '2'])
  assert.deepEqual(names(store.onInstance({ nodeName: 'a1', instanceID: 'i-new' })), ['2'])
  await remove('1')
  assert.deepEqual(names(store.onNode('a1')), ['2'])
  assert.deepEqual(names(store.onNode('a3')), [])
})
