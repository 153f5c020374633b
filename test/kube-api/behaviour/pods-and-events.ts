// Built-in kinds: what a Binding does to a pod and when it is refused, and how an Event is made.
import assert from 'node:assert/strict'

import { eventsPath } from '../../../src/kube/resource.ts'
import { type Behaviour, hold, namespace, pathOf, versionOf } from './bench.ts'

export const podsAndEvents: readonly Behaviour[] = [
  {
    name: 'a Binding gives a pod its node, its annotations and the condition PodScheduled',
    async holds(bench) {
      const pod = await bench.createPod({}, { annotations: { a: '1' } })
      const { uid, resourceVersion } = pod.metadata
      await bench.bind(pod, 'node-1', { uid, resourceVersion, annotations: { b: '2' } })
      const { metadata, ...bound } = await bench.read(pod)
      assert.deepEqual(metadata.annotations, { a: '1', b: '2' })
      assert.partialDeepStrictEqual(bound, {
        spec: { nodeName: 'node-1' },
        status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
      })
    },
  },
  {
    name: 'a Binding of a bound pod is a conflict, to the same node too',
    async holds(bench) {
      const pod = await bench.createPod()
      await bench.bind(pod, 'node-1')
      const bound = await bench.read(pod)
      await bench.refuses(409, 'Conflict', bench.bind(pod, 'node-1'))
      await bench.refuses(409, 'Conflict', bench.bind(pod, 'node-2'))
      assert.equal(versionOf(await bench.read(pod)), versionOf(bound))
    },
  },
  {
    name: 'a Binding for another uid or an old version is a conflict, one for no pod finds none',
    async holds(bench) {
      const pod = await bench.createPod()
      await bench.refuses(409, 'Conflict', bench.bind(pod, 'node-1', { uid: 'another' }))
      await bench.merge(pathOf(pod), { metadata: { labels: { a: 'b' } } })
      await bench.refuses(409, 'Conflict', bench.bind(pod, 'node-1', { resourceVersion: versionOf(pod) }))
      const missing = { ...pod, metadata: { ...pod.metadata, name: bench.name() } }
      await bench.refuses(404, 'NotFound', bench.bind(missing, 'node-1'))
    },
  },
  {
    name: 'a pod that is being deleted or has scheduling gates cannot be bound',
    async holds(bench) {
      const leaving = await bench.createPod({}, { finalizers: [hold] })
      await bench.request('DELETE', pathOf(leaving))
      await bench.refuses(409, 'Conflict', bench.bind(leaving, 'node-1'))
      await bench.merge(pathOf(leaving), { metadata: { finalizers: null } })
      const gated = await bench.createPod({ schedulingGates: [{ name: 'test.example.com/gate' }] })
      await bench.refuses(409, 'Conflict', bench.bind(gated, 'node-1'))
    },
  },
  {
    name: 'an Event gets a name of its own from the beginning of one',
    async holds(bench) {
      const generateName = `${bench.name()}.`
      const post = (into: string) =>
        bench.request('POST', eventsPath(namespace), {
          body: {
            apiVersion: 'v1',
            kind: 'Event',
            metadata: { generateName, namespace: into },
            involvedObject: { apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'uid-1' },
            type: 'Normal',
            reason: 'Tested',
            message: 'as told',
          },
        })
      const events = [await post(namespace), await post(namespace)]
      for (const { metadata } of events) assert.ok(metadata.name.startsWith(generateName))
      assert.equal(new Set(events.map(({ metadata }) => metadata.name)).size, 2)
      await bench.refuses(400, 'BadRequest', post('kube-system'))
    },
  },
]
