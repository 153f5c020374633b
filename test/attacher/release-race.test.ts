// A pod claims an idle ENI in the moment in which its time is over, and the attacher does not know of the claim yet.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { resource } from './attacher-world.ts'
import { Lab } from './lab/lab.ts'

const longMs = 60 * 60_000

test('an ENI that a pod has just claimed is not released', async () => {
  const lab = new Lab()
  const { scene, clock } = lab
  scene.addNode('a1')
  lab.startAttacher()
  scene.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '10s' })
  const first = scene.addUnboundPod('upf-0')
  scene.addIntent('upf-1', first)
  await clock.until(() => scene.attachment('upf-1').status?.device?.inUseBy !== undefined, longMs)
  scene.endPod(first)
  await clock.until(() => scene.attachment('upf-1').status?.eni?.idleSince !== undefined, longMs)
  await clock.advance(9_000)
  lab.api.watchDelayMs = 5_000
  const second = scene.addUnboundPod('upf-0')
  scene.setClaim('upf-1', second)
  await clock.advance(10_000)
  assert.equal(scene.attachment('upf-1').metadata.deletionTimestamp, undefined)
  assert.equal(scene.attachment('upf-1').status?.device?.inUseBy?.name, 'upf-0')
})
