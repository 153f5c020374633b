// The attacher's store over a fake API server, as its watch fills it.
import type { TestContext } from 'node:test'

import { type AttachmentSpec, type ENIAttachment, newAttachment } from '../../src/api/eni-attachment.ts'
import { AttachmentStore } from '../../src/attacher/attachment-store.ts'
import { Cluster } from '../../src/kube/cluster.ts'
import { Informer } from '../../src/kube/informer.ts'
import { attachmentParser } from '../../src/kube/objects.ts'
import { attachmentsPath } from '../../src/kube/resource.ts'
import type { Log } from '../../src/process/log.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'

export async function storeUnderTest(t: TestContext, log: Log) {
  const api = await FakeApiServer.start()
  const stop = new AbortController()
  const cluster = new Cluster(api.kubeconfig)
  const watched = new Informer<ENIAttachment>({ cluster, path: attachmentsPath, parse: attachmentParser(log), log })
  const running = watched.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await running
    await api.stop()
  })
  const store = new AttachmentStore(cluster, watched)
  await watched.synced
  const objects = api.store('eniattachments')
  const heard = (name: string, is: (after: ENIAttachment | undefined) => boolean) =>
    new Promise<void>((resolve) => watched.onChange((key, after) => key === name && is(after) && resolve()))
  /** Answers the object once the store knows it. */
  const add = async (name: string, spec: Partial<AttachmentSpec> = {}) => {
    const known = heard(name, (after) => after !== undefined)
    const whole = { nodeENI: 'upf', nodeName: 'a1', instanceID: 'i-a1', ...spec }
    const object = objects.create(newAttachment(name, whole) as { metadata: { name: string } })
    await known
    return object
  }
  /** Resolves once the store knows that it names this ENI. */
  const nameEni = async (name: string, eniID: string) => {
    const known = heard(name, (after) => after?.status?.eni?.eniID === eniID)
    objects.update(name, (object) => ({ ...object, status: { eni: { eniID } } }))
    await known
  }
  /** Resolves once the store knows it no more. */
  const remove = async (name: string) => {
    const gone = heard(name, (after) => after === undefined)
    objects.update(name, (object) => ({ ...object, metadata: { ...object.metadata, finalizers: [] } }))
    objects.delete(name)
    await gone
  }
  /** Resolves once the store cannot read it any more. */
  const spoil = async (name: string) => {
    const gone = heard(name, (after) => after === undefined)
    objects.updateUnchecked(name, (object) => ({ ...object, spec: { nodeENI: 1 } }))
    await gone
  }
  return { store, objects, add, nameEni, remove, spoil }
}
