// Lists: order, pages, selectors.
import assert from 'node:assert/strict'

import { attachmentsPath, nodeENIsPath, podsPath } from '../../../src/kube/resource.ts'
import { type Behaviour, type Listed, namesOf, pathOf, pods, versionOf } from './bench.ts'

export const lists: readonly Behaviour[] = [
  {
    name: 'a list has what the selector says, in the order of names',
    async holds(bench) {
      const nodeName = bench.name()
      const names = [bench.name(), bench.name(), bench.name()]
      for (const name of names.toReversed()) await bench.createAttachment({ nodeName }, { name })
      await bench.createAttachment({ nodeName: bench.name() })
      const { items } = await bench.list(attachmentsPath, { fieldSelector: `spec.nodeName=${nodeName}` })
      assert.deepEqual(namesOf(items), names)
      const not = `spec.nodeName=${nodeName},metadata.name!=${names[1]}`
      const some = await bench.list(attachmentsPath, { fieldSelector: not })
      assert.deepEqual(namesOf(some.items), [names[0], names[2]])
    },
  },
  {
    name: 'only declared fields select',
    async holds(bench) {
      await bench.list(attachmentsPath, { fieldSelector: 'spec.nodeENI=upf' })
      for (const path of [attachmentsPath, nodeENIsPath, podsPath])
        await bench.refuses(400, 'BadRequest', bench.list(path, { fieldSelector: 'spec.instanceID=i-1' }))
    },
  },
  {
    name: 'the pages of a list show one moment, and a watch from there misses nothing',
    async holds(bench) {
      const nodeName = bench.name()
      const fieldSelector = `spec.nodeName=${nodeName}`
      const five = []
      for (let count = 0; count < 5; count++) five.push(await bench.createAttachment({ nodeName }))
      const pages: Listed[] = [await bench.list(attachmentsPath, { fieldSelector, limit: 2 })]
      const [first, , third] = five
      await bench.request('DELETE', pathOf(first ?? assert.fail()))
      await bench.request('DELETE', pathOf(third ?? assert.fail()))
      const added = await bench.createAttachment({ nodeName })
      for (let next = pages[0]?.metadata.continue; next; next = pages.at(-1)?.metadata.continue)
        pages.push(await bench.list(attachmentsPath, { fieldSelector, limit: 2, continue: next }))

      assert.deepEqual(
        pages.map(({ items }) => items.length),
        [2, 2, 1],
      )
      assert.deepEqual(namesOf(pages.flatMap(({ items }) => items)), namesOf(five))
      const [resourceVersion = '', ...others] = new Set(pages.map(({ metadata }) => metadata.resourceVersion))
      assert.deepEqual(others, [])
      const events = await bench.events(attachmentsPath, 3, { fieldSelector, resourceVersion })
      assert.deepEqual(
        events.map(({ type, object }) => [type, object.metadata.name]),
        [
          ['DELETED', first?.metadata.name],
          ['DELETED', third?.metadata.name],
          ['ADDED', added.metadata.name],
        ],
      )
    },
  },
  {
    name: 'nobody can invent a page',
    async holds(bench) {
      await bench.refuses(400, 'BadRequest', bench.list(attachmentsPath, { limit: 2, continue: 'invented' }))
    },
  },
  {
    name: 'a list of one namespace has nothing of others',
    async holds(bench) {
      const pod = await bench.createPod()
      const fieldSelector = `metadata.name=${pod.metadata.name}`
      const here = await bench.list(pods, { fieldSelector })
      const everywhere = await bench.list(podsPath, { fieldSelector })
      const elsewhere = await bench.list('/api/v1/namespaces/kube-system/pods', { fieldSelector })
      assert.deepEqual(
        [here, everywhere, elsewhere].map(({ items }) => items.map(versionOf)),
        [[versionOf(pod)], [versionOf(pod)], []],
      )
    },
  },
]
