// Watches: where they begin, what they tell in which order, and how they end.
import assert from 'node:assert/strict'

import { KubeError } from '../../../src/kube/kube-error.ts'
import { attachmentsPath, podsPath } from '../../../src/kube/resource.ts'
import { type Behaviour, type Bench, claim, type Event, hold, pathOf, pods, versionOf } from './bench.ts'

const told = ({ type, object }: Event) => [type, object.metadata.name, versionOf(object)]

async function errorOf(lines: AsyncIterable<unknown>): Promise<unknown> {
  try {
    for await (const _ of lines);
  } catch (error) {
    return error
  }
  return undefined
}

async function podsOn(bench: Bench, nodeName: string, resourceVersion: string, count: number): Promise<Event[]> {
  return bench.events(podsPath, count, { resourceVersion, fieldSelector: `spec.nodeName=${nodeName}` })
}

export const watches: readonly Behaviour[] = [
  {
    name: 'a watch from a version tells all that came after it, in order',
    async holds(bench) {
      const first = await bench.createAttachment()
      const path = pathOf(first)
      const changed = await bench.merge(path, { spec: { claim } })
      const held = await bench.merge(path, { metadata: { finalizers: [hold] } })
      const second = await bench.createAttachment()
      const marked = await bench.request('DELETE', path)
      const events = await bench.events(attachmentsPath, 4, { resourceVersion: versionOf(first) })
      assert.deepEqual(events.map(told), [
        ['MODIFIED', first.metadata.name, versionOf(changed)],
        ['MODIFIED', first.metadata.name, versionOf(held)],
        ['ADDED', second.metadata.name, versionOf(second)],
        ['MODIFIED', first.metadata.name, versionOf(marked)],
      ])
      assert.deepEqual(events[3]?.object['spec'], changed['spec'])
      await bench.merge(path, { metadata: { finalizers: null } })
    },
  },
  {
    name: 'a watch goes on with what happens while it is open',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const fieldSelector = `metadata.name=${attachment.metadata.name}`
      const lines = bench.lines(attachmentsPath, { fieldSelector }, new AbortController().signal)
      const { value: first } = (await lines.next()) as { value: Event }
      assert.deepEqual(told(first), ['ADDED', attachment.metadata.name, versionOf(attachment)])
      const changed = await bench.merge(pathOf(attachment), { spec: { claim } })
      const { value: second } = (await lines.next()) as { value: Event }
      assert.deepEqual(told(second), ['MODIFIED', attachment.metadata.name, versionOf(changed)])
      await lines.return(undefined)
    },
  },
  {
    name: 'a deleted object is told as it last was, with the version of its end',
    async holds(bench) {
      const attachment = await bench.createAttachment({}, { finalizers: [hold] })
      const marked = await bench.request('DELETE', pathOf(attachment))
      await bench.merge(pathOf(attachment), { metadata: { finalizers: null } })
      const [deleted] = await bench.events(attachmentsPath, 1, { resourceVersion: versionOf(marked) })
      assert.equal(deleted?.type, 'DELETED')
      assert.deepEqual(deleted.object.metadata.finalizers, [hold])
      assert.ok(Number(versionOf(deleted.object)) > Number(versionOf(marked)))
    },
  },
  {
    name: 'an object comes into a selection as added, and leaves it as deleted, as it was before',
    async holds(bench) {
      const pod = await bench.createPod()
      const name = pod.metadata.name
      const [nodeName, from] = [bench.name(), versionOf(pod)]
      await bench.bind(pod, nodeName)
      const bound = await bench.read(pod)
      const [left] = await bench.events(podsPath, 1, {
        resourceVersion: from,
        fieldSelector: `spec.nodeName=,metadata.name=${name}`,
      })
      assert.ok(left)
      assert.deepEqual(told(left), ['DELETED', name, versionOf(bound)])
      assert.equal((left.object['spec'] as { nodeName?: string }).nodeName, undefined)
      const [came] = await podsOn(bench, nodeName, from, 1)
      assert.deepEqual(came && told(came), ['ADDED', name, versionOf(bound)])
    },
  },
  {
    name: 'a watch of a selection tells nothing of others',
    async holds(bench) {
      const nodeName = bench.name()
      const first = await bench.createAttachment({ nodeName: bench.name() })
      await bench.createAttachment({ nodeName: bench.name() })
      const mine = await bench.createAttachment({ nodeName })
      const query = { resourceVersion: versionOf(first), fieldSelector: `spec.nodeName=${nodeName}` }
      const [event] = await bench.events(attachmentsPath, 1, query)
      assert.equal(event?.object.metadata.name, mine.metadata.name)
      await bench.refuses(400, 'BadRequest', bench.events(attachmentsPath, 1, { fieldSelector: 'spec.instanceID=i-1' }))
    },
  },
  {
    name: 'a watch of one namespace tells nothing of others',
    async holds(bench) {
      const first = await bench.createPod()
      const second = await bench.createPod()
      const query = { resourceVersion: versionOf(first), timeoutSeconds: 1 }
      const there = await bench.eventsToTheEnd('/api/v1/namespaces/kube-system/pods', query)
      assert.deepEqual(there, [])
      const [here] = await bench.events(pods, 1, { resourceVersion: versionOf(first) })
      assert.equal(here?.object.metadata.name, second.metadata.name)
    },
  },
  {
    name: 'a watch ends after its time, without an error',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const query = { fieldSelector: `metadata.name=${attachment.metadata.name}`, timeoutSeconds: 1 }
      assert.equal((await bench.eventsToTheEnd(attachmentsPath, query)).length, 1)
    },
  },
  {
    name: 'a watch whose signal aborts is an error for its reader',
    async holds(bench) {
      const abort = new AbortController()
      const lines = bench.lines(attachmentsPath, { fieldSelector: `metadata.name=${bench.name()}` }, abort.signal)
      const outcome = errorOf(lines)
      setImmediate(() => abort.abort())
      const error = await outcome
      assert.ok(error instanceof Error && (error.name === 'AbortError' || error instanceof KubeError), String(error))
    },
  },
  {
    name: 'what is asked with an aborted signal gets no answer',
    async holds(bench) {
      const signal = AbortSignal.abort()
      await bench.refuses(0, 'Unreachable', bench.request('GET', attachmentsPath, { signal }))
      const error = await errorOf(bench.lines(attachmentsPath, {}, signal))
      assert.ok(error instanceof KubeError)
      assert.equal(error.code, 0)
    },
  },
  {
    name: 'a watch from a version that the server has forgotten says 410 and ends; one from the present does not',
    async holds(bench) {
      const first = await bench.createAttachment()
      await bench.createAttachment()
      await bench.forgetHistory()
      const events = await bench.eventsToTheEnd(attachmentsPath, { resourceVersion: versionOf(first) })
      assert.deepEqual(
        events.map(({ type, object }) => [type, object.code, object.reason]),
        [['ERROR', 410, 'Expired']],
      )
      const { metadata } = await bench.list(attachmentsPath)
      const second = await bench.createAttachment()
      const [event] = await bench.events(attachmentsPath, 1, { resourceVersion: metadata.resourceVersion })
      assert.equal(event?.object.metadata.name, second.metadata.name)
    },
  },
]
