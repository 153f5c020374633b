// Deletes: preconditions, finalizers, and the grace of a pod that a node has.
import assert from 'node:assert/strict'

import { type Behaviour, claim, hold, pathOf, secondHold, versionOf } from './bench.ts'

export const deletion: readonly Behaviour[] = [
  {
    name: 'a delete can ask for one uid and one version, and is a conflict otherwise',
    async holds(bench) {
      const first = await bench.createAttachment()
      const { uid } = first.metadata
      const second = await bench.merge(pathOf(first), { spec: { claim } })
      const remove = (preconditions: object) => bench.request('DELETE', pathOf(first), { body: { preconditions } })
      await bench.refuses(409, 'Conflict', remove({ uid: 'another', resourceVersion: versionOf(second) }))
      await bench.refuses(409, 'Conflict', remove({ uid, resourceVersion: versionOf(first) }))
      await remove({ uid, resourceVersion: versionOf(second) })
      await bench.gone(pathOf(first))
    },
  },
  {
    name: 'an object with finalizers stays, marked, until the last of them is gone',
    async holds(bench) {
      const attachment = await bench.createAttachment({}, { finalizers: [hold, secondHold] })
      const path = pathOf(attachment)
      const marked = await bench.request('DELETE', path)
      assert.match(marked.metadata.deletionTimestamp ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      assert.equal(marked.metadata.deletionGracePeriodSeconds, 0)
      assert.equal(versionOf(await bench.request('DELETE', path)), versionOf(marked))
      const half = await bench.jsonPatch(path, { op: 'remove', path: '/metadata/finalizers/0' })
      assert.deepEqual((await bench.read(attachment)).metadata.finalizers, [secondHold])
      const last = await bench.jsonPatch(path, { op: 'remove', path: '/metadata/finalizers/0' })
      assert.deepEqual([last.metadata.finalizers, versionOf(last)], [undefined, versionOf(half)])
      await bench.gone(path)
    },
  },
  {
    name: 'an empty list of finalizers is none',
    async holds(bench) {
      const attachment = await bench.createAttachment({}, { finalizers: [hold] })
      const path = pathOf(attachment)
      await bench.request('DELETE', path)
      await bench.merge(path, { metadata: { finalizers: [] } })
      await bench.gone(path)
    },
  },
  {
    name: 'an object that is being deleted takes no new finalizer, but may reorder, and takes spec and status',
    async holds(bench) {
      const attachment = await bench.createAttachment({}, { finalizers: [hold, secondHold] })
      const path = pathOf(attachment)
      await bench.request('DELETE', path)
      const add = { op: 'add', path: '/metadata/finalizers/-', value: 'test.example.com/new' }
      await bench.refuses(422, 'Invalid', bench.jsonPatch(path, add))
      const exchange = { metadata: { finalizers: [hold, 'test.example.com/new'] } }
      await bench.refuses(422, 'Invalid', bench.merge(path, exchange))
      await bench.merge(path, { spec: { claim } })
      await bench.applyStatus('a', attachment, { phase: 'Releasing' })
      const { metadata, ...rest } = await bench.merge(path, { metadata: { finalizers: [secondHold, hold] } })
      assert.deepEqual(metadata.finalizers, [secondHold, hold])
      assert.partialDeepStrictEqual(rest, { spec: { claim }, status: { phase: 'Releasing' } })
      await bench.merge(path, { metadata: { finalizers: null } })
    },
  },
  {
    name: 'nothing takes a deletion back',
    async holds(bench) {
      const attachment = await bench.createAttachment({}, { finalizers: [hold] })
      const path = pathOf(attachment)
      const { metadata } = await bench.request('DELETE', path)
      const after = await bench.merge(path, { metadata: { deletionTimestamp: null } })
      assert.deepEqual(after.metadata.deletionTimestamp, metadata.deletionTimestamp)
      await bench.merge(path, { metadata: { finalizers: null } })
      await bench.gone(path)
    },
  },
  {
    name: 'the status of an object cannot take its finalizers away',
    async holds(bench) {
      const attachment = await bench.createAttachment({}, { finalizers: [hold] })
      const path = pathOf(attachment)
      await bench.request('DELETE', path)
      await bench.merge(`${path}/status`, { metadata: { finalizers: null }, status: { phase: 'Releasing' } })
      assert.deepEqual((await bench.read(attachment)).metadata.finalizers, [hold])
      await bench.merge(path, { metadata: { finalizers: null } })
    },
  },
  {
    name: 'a pod that no node has is gone at once',
    async holds(bench) {
      const pod = await bench.createPod()
      await bench.request('DELETE', pathOf(pod))
      await bench.gone(pathOf(pod))
    },
  },
  {
    name: 'a pod that a node has stays for its grace, until somebody deletes it without',
    async holds(bench) {
      const pod = await bench.createPod()
      await bench.bind(pod, 'node-1')
      const before = Date.now()
      await bench.request('DELETE', pathOf(pod))
      const { metadata } = await bench.merge(pathOf(pod), { metadata: { labels: { still: 'there' } } })
      assert.equal(metadata.deletionGracePeriodSeconds, 30)
      assert.ok(Date.parse(metadata.deletionTimestamp ?? '') >= before + 29_000)
      await bench.request('DELETE', pathOf(pod), { body: { gracePeriodSeconds: 0 } })
      await bench.gone(pathOf(pod))
    },
  },
  {
    name: 'a pod that has ended needs no grace',
    async holds(bench) {
      const pod = await bench.createPod()
      await bench.bind(pod, 'node-1')
      await bench.merge(`${pathOf(pod)}/status`, { status: { phase: 'Succeeded' } })
      await bench.request('DELETE', pathOf(pod))
      await bench.gone(pathOf(pod))
    },
  },
]
