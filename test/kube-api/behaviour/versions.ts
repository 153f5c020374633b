// resourceVersion, uid, generation and names: how a write says which object it means, and what it does to the object's numbers.
import assert from 'node:assert/strict'

import { leasePath, leasesPath } from '../../../src/kube/resource.ts'
import { type Behaviour, claim, hold, namespace, pathOf, versionOf } from './bench.ts'

export const versions: readonly Behaviour[] = [
  {
    name: 'a PUT with an old resourceVersion is a conflict and changes nothing',
    async holds(bench) {
      const first = await bench.createAttachment()
      const second = await bench.merge(pathOf(first), { spec: { claim } })
      const put = { ...first, metadata: { ...first.metadata, labels: { a: 'b' } } }
      await bench.refuses(409, 'Conflict', bench.request('PUT', pathOf(first), { body: put }))
      assert.equal(versionOf(await bench.read(first)), versionOf(second))
    },
  },
  {
    name: 'a PUT replaces all but the status, and what is not in it is gone',
    async holds(bench) {
      const first = await bench.createAttachment({ claim }, { labels: { a: 'b' } })
      const { name, resourceVersion } = await bench
        .merge(`${pathOf(first)}/status`, { status: { phase: 'Ready' } })
        .then(({ metadata }) => metadata)
      const { claim: _, ...spec } = first['spec'] as Record<string, unknown>
      const body = { ...first, metadata: { name, resourceVersion }, spec }
      const { metadata, ...second } = await bench.request('PUT', pathOf(first), { body })
      assert.equal(metadata.labels, undefined)
      assert.deepEqual([second['spec'], second['status']], [spec, { phase: 'Ready' }])
    },
  },
  {
    name: 'a PUT of a custom resource or a lease must name a version, that of a node need not',
    async holds(bench) {
      const { metadata, ...attachment } = await bench.createAttachment()
      const body = { ...attachment, metadata: { name: metadata.name } }
      await bench.refuses(422, 'Invalid', bench.request('PUT', pathOf({ ...attachment, metadata }), { body }))
      const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: bench.name() } }
      await bench.request('POST', leasesPath(namespace), { body: lease })
      const path = leasePath(namespace, lease.metadata.name)
      await bench.refuses(422, 'Invalid', bench.request('PUT', path, { body: lease }))
      const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: bench.name(), labels: { a: 'b' } } }
      const created = await bench.request('POST', '/api/v1/nodes', { body: node })
      const unlabelled = { ...node, metadata: { name: node.metadata.name } }
      const put = await bench.request('PUT', pathOf(created), { body: unlabelled })
      assert.equal(put.metadata.labels, undefined)
      await bench.request('DELETE', pathOf(created))
    },
  },
  {
    name: 'a PUT with another uid is a conflict, of the status too',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const body = { ...attachment, metadata: { ...attachment.metadata, uid: 'another' } }
      await bench.refuses(409, 'Conflict', bench.request('PUT', pathOf(attachment), { body }))
      await bench.refuses(409, 'Conflict', bench.request('PUT', `${pathOf(attachment)}/status`, { body }))
    },
  },
  {
    name: 'a merge patch that names an old version is a conflict, even if it changes nothing',
    async holds(bench) {
      const first = await bench.createAttachment()
      const second = await bench.merge(pathOf(first), { spec: { claim } })
      const { resourceVersion } = first.metadata
      await bench.refuses(409, 'Conflict', bench.merge(pathOf(first), { metadata: { resourceVersion } }))
      await bench.refuses(409, 'Conflict', bench.merge(`${pathOf(first)}/status`, { metadata: { resourceVersion } }))
      const body = { metadata: { resourceVersion: versionOf(second) }, spec: { claim: null } }
      assert.notEqual(versionOf(await bench.merge(pathOf(first), body)), versionOf(second))
    },
  },
  {
    name: 'a merge patch with another uid is invalid, also one of the status of a pod',
    async holds(bench) {
      const uid = 'another'
      const attachment = await bench.createAttachment()
      await bench.refuses(422, 'Invalid', bench.merge(pathOf(attachment), { metadata: { uid } }))
      const pod = await bench.createPod()
      const body = { metadata: { uid }, status: { conditions: [{ type: 'test', status: 'True' }] } }
      await bench.refuses(422, 'Invalid', bench.request('PATCH', `${pathOf(pod)}/status`, { as: 'strategic', body }))
    },
  },
  {
    name: 'a patch of the status of a custom resource may name any uid',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const body = { metadata: { uid: 'another' }, status: { phase: 'Ready' } }
      const patched = await bench.merge(`${pathOf(attachment)}/status`, body)
      assert.deepEqual([patched['status'], patched.metadata.uid], [{ phase: 'Ready' }, attachment.metadata.uid])
    },
  },
  {
    name: 'what is not there can be neither read nor written',
    async holds(bench) {
      const { metadata, ...rest } = await bench.createAttachment()
      const missing = { ...rest, metadata: { name: bench.name(), uid: '', resourceVersion: metadata.resourceVersion } }
      const path = pathOf(missing)
      const body = { ...rest, metadata: { name: missing.metadata.name, resourceVersion: metadata.resourceVersion } }
      await bench.refuses(404, 'NotFound', bench.request('GET', path))
      await bench.refuses(404, 'NotFound', bench.request('PUT', path, { body }))
      await bench.refuses(404, 'NotFound', bench.merge(path, { metadata: { labels: { a: 'b' } } }))
      await bench.refuses(404, 'NotFound', bench.jsonPatch(path, { op: 'add', path: '/metadata/labels', value: {} }))
      await bench.refuses(404, 'NotFound', bench.request('DELETE', path))
    },
  },
  {
    name: 'a name can be taken once, also while its object is being deleted',
    async holds(bench) {
      const { metadata } = await bench.createAttachment({}, { finalizers: [hold] })
      const again = () => bench.createAttachment({}, { name: metadata.name })
      await bench.refuses(409, 'AlreadyExists', again())
      const path = pathOf({ apiVersion: '', kind: 'ENIAttachment', metadata })
      await bench.request('DELETE', path)
      await bench.refuses(409, 'AlreadyExists', again())
      await bench.merge(path, { metadata: { finalizers: null } })
      assert.notEqual((await again()).metadata.uid, metadata.uid)
    },
  },
  {
    name: 'a new object gets its uid from the server, and can bring no version',
    async holds(bench) {
      const { metadata } = await bench.createAttachment({}, { uid: 'mine' })
      assert.match(metadata.uid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      assert.match(metadata.creationTimestamp ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      await bench.refuses(500, '', bench.createAttachment({}, { resourceVersion: '1' }))
    },
  },
  {
    name: 'the name in a body is that of the path',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const metadata = { ...attachment.metadata, name: bench.name() }
      const path = pathOf(attachment)
      await bench.refuses(400, 'BadRequest', bench.request('PUT', path, { body: { ...attachment, metadata } }))
      await bench.refuses(400, 'BadRequest', bench.merge(path, { metadata: { name: metadata.name } }))
      await bench.refuses(400, 'BadRequest', bench.apply('a', attachment, { metadata: { name: metadata.name } }))
    },
  },
  {
    name: 'a write that changes nothing makes no new version',
    async holds(bench) {
      const first = await bench.createAttachment({ claim }, { labels: { a: 'b' } })
      const path = pathOf(first)
      await bench.request('PUT', path, { body: first })
      await bench.merge(path, { spec: { claim: { name: claim.name } }, metadata: { labels: { a: 'b', c: null } } })
      await bench.jsonPatch(path, { op: 'test', path: '/metadata/name', value: first.metadata.name })
      await bench.merge(path, { status: { phase: 'Ready' } })
      assert.equal(versionOf(await bench.read(first)), versionOf(first))
      const status = { phase: 'Ready', eni: { addresses: ['10.0.0.1'] } }
      const applied = await bench.applyStatus('a', first, status)
      assert.equal(versionOf(await bench.applyStatus('a', first, status)), versionOf(applied))
    },
  },
  {
    name: 'versions grow with every write, whatever the kind',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const nodeENI = await bench.createNodeENI()
      const labelled = await bench.merge(pathOf(attachment), { metadata: { labels: { a: 'b' } } })
      const written = [attachment, nodeENI, labelled].map((object) => Number(versionOf(object)))
      assert.deepEqual(
        written,
        written.toSorted((a, b) => a - b),
      )
      assert.equal(new Set(written).size, 3)
    },
  },
  {
    name: 'the generation counts changes of the spec and the deletion, nothing else',
    async holds(bench) {
      const attachment = await bench.createAttachment({}, { finalizers: [hold] })
      const path = pathOf(attachment)
      const generations = [
        attachment,
        await bench.merge(path, { metadata: { labels: { a: 'b' }, annotations: { c: 'd' } } }),
        await bench.merge(`${path}/status`, { status: { phase: 'Ready' } }),
        await bench.merge(path, { spec: { claim } }),
        await bench.request('DELETE', path),
        await bench.merge(path, { spec: { claim: null } }),
      ].map(({ metadata }) => metadata.generation)
      assert.deepEqual(generations, [1, 1, 1, 2, 3, 4])
      await bench.merge(path, { metadata: { finalizers: null } })
    },
  },
]
