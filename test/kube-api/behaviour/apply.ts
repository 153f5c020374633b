// Server-side apply: who owns which field, and what becomes of the fields that nobody names any more.
import assert from 'node:assert/strict'

import type { KubeObject } from '../resources.ts'
import { attachmentSpec, type Behaviour, type Bench, claim, hold, pathOf, secondHold, versionOf } from './bench.ts'

const eni = { attempt: 1, subnetID: 'subnet-1', addresses: ['10.0.0.1', '10.0.0.2'] }
const statusOf = (object: KubeObject) => object['status']
const specOf = (object: KubeObject) => object['spec']
/** An object that is not there yet. */
const named = (bench: Bench): KubeObject => {
  const metadata = { name: bench.name(), uid: '', resourceVersion: '' }
  return { apiVersion: 'networking.k8s.aws/v1alpha1', kind: 'ENIAttachment', metadata }
}

export const apply: readonly Behaviour[] = [
  {
    name: 'apply creates an object that is not there, but no status of it',
    async holds(bench) {
      const missing = named(bench)
      await bench.refuses(404, 'NotFound', bench.applyStatus('a', missing, { phase: 'Ready' }))
      const created = await bench.apply('a', missing, { spec: attachmentSpec, status: { phase: 'Ready' } })
      assert.deepEqual([specOf(created), statusOf(created)], [attachmentSpec, undefined])
      const uid = 'another'
      await bench.refuses(409, 'Conflict', bench.apply('a', named(bench), { spec: attachmentSpec, metadata: { uid } }))
    },
  },
  {
    name: 'an applier must have a name',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const body = { apiVersion: attachment.apiVersion, kind: attachment.kind, spec: attachmentSpec }
      await bench.refuses(422, 'Invalid', bench.request('PATCH', pathOf(attachment), { as: 'apply', body }))
    },
  },
  {
    name: 'an application can ask for a version; a uid it can only name right',
    async holds(bench) {
      const first = await bench.createAttachment()
      const { resourceVersion, uid } = (await bench.merge(pathOf(first), { metadata: { labels: { a: 'b' } } })).metadata
      const apply_ = (metadata: object) => bench.apply('a', first, { spec: { claim }, metadata })
      await bench.refuses(409, 'Conflict', apply_({ resourceVersion: versionOf(first) }))
      await bench.refuses(422, 'Invalid', apply_({ uid: 'another' }))
      await apply_({ resourceVersion, uid })
    },
  },
  {
    name: 'fields that a manager no longer names go, those of others stay',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      await bench.applyStatus('attacher', attachment, { phase: 'Attached', eni })
      const device = { pciAddress: '0000:00:06.0', advertised: true }
      const both = await bench.applyStatus('plugin', attachment, { device })
      assert.deepEqual(statusOf(both), { phase: 'Attached', eni, device })
      const less = await bench.applyStatus('attacher', attachment, { phase: 'Attached', eni: { attempt: 2 } }, true)
      assert.deepEqual(statusOf(less), { phase: 'Attached', eni: { attempt: 2 }, device })
      const none = await bench.applyStatus('attacher', attachment, { phase: 'Attached' })
      assert.deepEqual(statusOf(none), { phase: 'Attached', device })
      assert.deepEqual(statusOf(await bench.apply('plugin', attachment, {})), { phase: 'Attached', device })
    },
  },
  {
    name: 'a field that two managers name stays until both have let go',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      await bench.apply('a', attachment, { spec: { claim } })
      await bench.apply('b', attachment, { spec: { claim } })
      assert.partialDeepStrictEqual(await bench.apply('a', attachment, {}), { spec: { claim } })
      assert.deepEqual(specOf(await bench.apply('b', attachment, {})), attachmentSpec)
    },
  },
  {
    name: 'what another owns cannot be changed without force, and changes hands with it',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const first = await bench.applyStatus('a', attachment, { phase: 'Attached', eni })
      await bench.refuses(409, 'Conflict', bench.applyStatus('b', attachment, { phase: 'Ready' }))
      assert.equal(versionOf(await bench.read(attachment)), versionOf(first))
      await bench.applyStatus('b', attachment, { phase: 'Ready' }, true)
      const without = await bench.applyStatus('a', attachment, { eni })
      assert.deepEqual(statusOf(without), { phase: 'Ready', eni })
      await bench.refuses(409, 'Conflict', bench.applyStatus('a', attachment, { phase: 'Attached', eni }))
    },
  },
  {
    name: 'other writes own what they change, even in the name of an applier',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      await bench.applyStatus('a', attachment, { eni })
      await bench.merge(`${pathOf(attachment)}/status`, { status: { eni: { attempt: 2 } } }, 'a')
      await bench.refuses(409, 'Conflict', bench.applyStatus('a', attachment, { eni }))
      const without = await bench.applyStatus('a', attachment, { phase: 'Pending' })
      assert.deepEqual(statusOf(without), { phase: 'Pending', eni: { attempt: 2 } })
    },
  },
  {
    name: 'what was removed otherwise has no owner left',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      await bench.apply('a', attachment, { spec: { claim } })
      await bench.merge(pathOf(attachment), { spec: { claim: null } })
      const other = { ...claim, name: 'upf-1' }
      assert.partialDeepStrictEqual(await bench.apply('b', attachment, { spec: { claim: other } }), {
        spec: { claim: other },
      })
    },
  },
  {
    name: 'a deleted object takes its owners with it',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      await bench.applyStatus('a', attachment, { phase: 'Attached' })
      await bench.request('DELETE', pathOf(attachment))
      await bench.createAttachment({}, { name: attachment.metadata.name })
      assert.deepEqual(statusOf(await bench.applyStatus('b', attachment, { phase: 'Ready' })), { phase: 'Ready' })
    },
  },
  {
    name: 'a change of owners alone is a new version too',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const first = await bench.applyStatus('a', attachment, { phase: 'Ready' })
      const second = await bench.applyStatus('b', attachment, { phase: 'Ready' })
      assert.deepEqual(statusOf(first), statusOf(second))
      assert.notEqual(versionOf(first), versionOf(second))
    },
  },
  {
    name: 'conditions have owners one by one',
    async holds(bench) {
      const nodeENI = await bench.createNodeENI()
      const lastTransitionTime = '2026-01-01T00:00:00Z'
      const condition = (type: string, status: string) => ({
        type,
        status,
        reason: 'R',
        message: '',
        lastTransitionTime,
      })
      const seen = (object: KubeObject) =>
        ((statusOf(object) as { conditions?: { type: string; status: string }[] }).conditions ?? []).map(
          ({ type, status }) => `${type}=${status}`,
        )
      await bench.applyStatus('a', nodeENI, { conditions: [condition('Ready', 'True'), condition('Old', 'True')] })
      const both = await bench.applyStatus('b', nodeENI, { conditions: [condition('Other', 'True')] })
      assert.deepEqual(seen(both), ['Ready=True', 'Old=True', 'Other=True'])
      const dropped = await bench.applyStatus('a', nodeENI, { conditions: [condition('Ready', 'False')] })
      assert.deepEqual(seen(dropped), ['Ready=False', 'Other=True'])
      const takeOver = bench.applyStatus('b', nodeENI, { conditions: [condition('Ready', 'True')] })
      await bench.refuses(409, 'Conflict', takeOver)
    },
  },
  {
    name: 'a list without keys is replaced as a whole',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      await bench.applyStatus('a', attachment, { eni })
      const addresses = ['10.0.0.9']
      const status = statusOf(await bench.applyStatus('a', attachment, { eni: { ...eni, addresses } }))
      assert.deepEqual(status, { eni: { ...eni, addresses } })
    },
  },
  {
    name: 'finalizers and labels of several appliers stand beside each other',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      await bench.apply('a', attachment, { metadata: { finalizers: [hold], labels: { a: '1' } } })
      const both = await bench.apply('b', attachment, { metadata: { finalizers: [secondHold], labels: { b: '2' } } })
      assert.deepEqual([both.metadata.finalizers, both.metadata.labels], [[hold, secondHold], { a: '1', b: '2' }])
      const one = await bench.apply('a', attachment, {})
      assert.deepEqual([one.metadata.finalizers, one.metadata.labels], [[secondHold], { b: '2' }])
      const none = await bench.apply('b', attachment, { metadata: { finalizers: [], labels: {} } })
      assert.deepEqual(['labels' in none.metadata, 'finalizers' in none.metadata], [false, false])
    },
  },
  {
    name: 'a status that is applied brings nothing but the status',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const body = {
        apiVersion: attachment.apiVersion,
        kind: attachment.kind,
        metadata: { name: attachment.metadata.name, labels: { a: 'b' } },
        spec: { claim },
        status: { phase: 'Ready' },
      }
      const query = { fieldManager: 'a' }
      const applied = await bench.request('PATCH', `${pathOf(attachment)}/status`, { as: 'apply', body, query })
      assert.deepEqual([applied.metadata.labels, specOf(applied)], [undefined, attachmentSpec])
    },
  },
  {
    name: 'an applier who empties an object that it had filled is refused; it has to leave the object out',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const empty = await bench.applyStatus('a', attachment, { phase: 'Pending', eni: {} })
      assert.deepEqual(statusOf(empty), { phase: 'Pending', eni: {} })
      await bench.applyStatus('a', attachment, { phase: 'Pending', eni })
      await bench.refuses(422, 'Invalid', bench.applyStatus('a', attachment, { phase: 'Pending', eni: {} }))
      assert.deepEqual(statusOf(await bench.applyStatus('a', attachment, { phase: 'Pending' })), { phase: 'Pending' })
    },
  },
  {
    name: 'an object that somebody owns as such cannot lose its last field to an applier',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      await bench.merge(pathOf(attachment), { spec: { claim } })
      await bench.apply('a', attachment, { spec: { claim: { namespace: 'x', name: 'x', uid: 'x' } } }, true)
      await bench.refuses(422, 'Invalid', bench.apply('a', attachment, {}))
    },
  },
  {
    name: 'an applier who names a field that the schema does not know is refused',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      await bench.refuses(500, '', bench.applyStatus('a', attachment, { phase: 'Ready', invented: 1 }))
      await bench.refuses(422, 'Invalid', bench.applyStatus('a', attachment, { phase: 'Invented' }))
      assert.equal(statusOf(await bench.read(attachment)), undefined)
    },
  },
]
