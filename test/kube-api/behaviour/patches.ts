// Merge, JSON and strategic merge patches, and who may write the status.
import assert from 'node:assert/strict'

import { type Behaviour, claim, pathOf, versionOf } from './bench.ts'

const condition = (type: string, status: string) => ({ type, status })

export const patches: readonly Behaviour[] = [
  {
    name: 'a merge patch merges objects, replaces lists, and removes what is null',
    async holds(bench) {
      const nodeENI = await bench.createNodeENI({ tags: { a: '1', b: '2' }, subnetIDs: ['subnet-1', 'subnet-2'] })
      const body = { spec: { tags: { b: null, c: '3' }, subnetIDs: ['subnet-3'], description: null } }
      const { tags, subnetIDs } = (await bench.merge(pathOf(nodeENI), body))['spec'] as Record<string, unknown>
      assert.deepEqual([tags, subnetIDs], [{ a: '1', c: '3' }, ['subnet-3']])
    },
  },
  {
    name: 'a claim is merged into the one that is there, and null frees it',
    async holds(bench) {
      const attachment = await bench.createAttachment({ claim })
      const merged = await bench.merge(pathOf(attachment), { spec: { claim: { name: 'upf-1' } } })
      assert.partialDeepStrictEqual(merged, { spec: { claim: { ...claim, name: 'upf-1' } } })
      const freed = await bench.merge(pathOf(attachment), { spec: { claim: null } })
      assert.deepEqual(freed['spec'], { nodeENI: 'upf', nodeName: 'node-1', instanceID: 'i-1' })
    },
  },
  {
    name: 'a JSON patch whose test fails is invalid and does nothing of the rest',
    async holds(bench) {
      const attachment = await bench.createAttachment({ claim })
      const path = pathOf(attachment)
      const free = { op: 'remove', path: '/spec/claim' }
      const tests = [
        { op: 'test', path: '/metadata/uid', value: 'another' },
        { op: 'test', path: '/metadata/finalizers/0', value: 'any' },
        { op: 'remove', path: '/spec/resourceName' },
        { op: 'remove', path: '/metadata/finalizers/0' },
        { op: 'invent', path: '/metadata/uid' },
      ]
      for (const test of tests) await bench.refuses(422, 'Invalid', bench.jsonPatch(path, free, test))
      assert.equal(versionOf(await bench.read(attachment)), versionOf(attachment))
      const good = { op: 'test', path: '/metadata/uid', value: attachment.metadata.uid }
      assert.equal('claim' in ((await bench.jsonPatch(path, good, free))['spec'] as object), false)
    },
  },
  {
    name: 'a JSON patch adds to lists and objects, and replaces also what is not there',
    async holds(bench) {
      const attachment = await bench.createAttachment({}, { labels: { 'a/b': '1' }, finalizers: ['x.example.com/2'] })
      const { metadata } = await bench.jsonPatch(
        pathOf(attachment),
        { op: 'add', path: '/metadata/finalizers/0', value: 'x.example.com/1' },
        { op: 'add', path: '/metadata/finalizers/-', value: 'x.example.com/3' },
        { op: 'replace', path: '/metadata/labels/a~1b', value: '2' },
        { op: 'replace', path: '/metadata/labels/c', value: '3' },
      )
      assert.deepEqual(metadata.finalizers, ['x.example.com/1', 'x.example.com/2', 'x.example.com/3'])
      assert.deepEqual(metadata.labels, { 'a/b': '2', c: '3' })
      const cleared = await bench.jsonPatch(pathOf(attachment), { op: 'remove', path: '/metadata/finalizers' })
      assert.equal(cleared.metadata.finalizers, undefined)
    },
  },
  {
    name: 'a JSON patch cannot write uid and version',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const put = (field: string, value: string) =>
        bench.jsonPatch(pathOf(attachment), { op: 'replace', path: `/metadata/${field}`, value })
      await bench.refuses(422, 'Invalid', put('uid', 'another'))
      await bench.refuses(409, 'Conflict', put('resourceVersion', '1'))
    },
  },
  {
    name: 'a strategic merge patch merges conditions by type; custom resources know none',
    async holds(bench) {
      const pod = await bench.createPod()
      const patch = (...conditions: object[]) =>
        bench.request('PATCH', `${pathOf(pod)}/status`, { as: 'strategic', body: { status: { conditions } } })
      await patch(condition('a', 'True'), condition('b', 'True'))
      const { status } = (await patch(condition('b', 'False'), condition('c', 'True'))) as { status?: unknown }
      const { conditions } = status as { conditions: { type: string; status: string }[] }
      const seen = conditions.map((one) => `${one.type}=${one.status}`).sort()
      assert.deepEqual(seen, ['a=True', 'b=False', 'c=True'])
      const attachment = await bench.createAttachment()
      const strategic = bench.request('PATCH', pathOf(attachment), { as: 'strategic', body: { metadata: {} } })
      await bench.refuses(415, 'UnsupportedMediaType', strategic)
    },
  },
  {
    name: 'a write to the object leaves its status alone, and one to its status all else',
    async holds(bench) {
      const first = await bench.createAttachment()
      const path = pathOf(first)
      const labels = { a: 'b' }
      const status = { phase: 'Ready' }
      const toStatus = await bench.merge(`${path}/status`, { metadata: { labels }, spec: { claim }, status })
      assert.deepEqual(
        [toStatus.metadata.labels, toStatus['spec'], toStatus['status']],
        [undefined, first['spec'], status],
      )
      const toObject = await bench.merge(path, { metadata: { labels }, spec: { claim }, status: { phase: 'Failed' } })
      assert.deepEqual([toObject.metadata.labels, toObject['status']], [labels, status])
      const put = { ...toObject, spec: first['spec'], status: { phase: 'Failed' } }
      const putStatus = await bench.request('PUT', `${path}/status`, { body: put })
      assert.partialDeepStrictEqual(putStatus, { spec: { claim }, status: { phase: 'Failed' } })
    },
  },
  {
    name: 'a node keeps the status that it is created with, a custom resource does not',
    async holds(bench) {
      const status = { capacity: { 'example.com/card': '1' } }
      const body = { apiVersion: 'v1', kind: 'Node', metadata: { name: bench.name() }, status }
      const node = await bench.request('POST', '/api/v1/nodes', { body })
      assert.partialDeepStrictEqual(node, { status })
      const later = await bench.merge(pathOf(node), { status: { capacity: { 'example.com/card': '2' } } })
      assert.partialDeepStrictEqual(later, { status })
      await bench.request('DELETE', pathOf(node))
      const attachment = { ...bench.attachment(), status: { phase: 'Ready' } }
      const created = await bench.request('POST', '/apis/networking.k8s.aws/v1alpha1/eniattachments', {
        body: attachment,
      })
      assert.equal(created['status'], undefined)
    },
  },
]
