// A detach waits for the guest. By force only when somebody has asked for that, or nobody is left to wait for.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { forceDetachAnnotation } from '../../src/api/names.ts'
import type { KubeObject } from '../kube-api/resources.ts'
import { resource } from './attacher-world.ts'
import { Lab } from './lab/lab.ts'

const longMs = 60 * 60_000

/** An ENI that a pod had, and whose guest does not let go of the card. */
async function stuckRelease(): Promise<Lab> {
  const lab = new Lab()
  const { scene, clock } = lab
  scene.addNode('a1')
  lab.startAttacher()
  scene.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '0s' })
  const pod = scene.addUnboundPod('upf-0')
  scene.addIntent('upf-1', pod)
  await clock.until(() => scene.attachment('upf-1').status?.device?.inUseBy !== undefined, longMs)
  lab.ec2.stick('detaching')
  scene.endPod(pod)
  await clock.until(() => detaches(lab).length > 0, longMs)
  return lab
}

function detaches({ ec2 }: Lab): (string | undefined)[] {
  return ec2.calls.of('DetachNetworkInterface').map(({ parameters }) => parameters['Force'])
}

test('a release never forces, however long the guest holds the card', async () => {
  const lab = await stuckRelease()
  await lab.clock.advance(longMs)
  assert.deepEqual(detaches(lab), [undefined])
  assert.match(
    lab.scene.attachment('upf-1').status?.eni?.failure?.message ?? '',
    /is still being detached after 5 minutes/,
  )
})

test('the annotation forces it, at once', async () => {
  const lab = await stuckRelease()
  await lab.clock.advance(60_000)
  lab.api.store('eniattachments').update('upf-1', (object: KubeObject) => ({
    ...object,
    metadata: { ...object.metadata, annotations: { [forceDetachAnnotation]: 'true' } },
  }))
  await lab.clock.until(() => lab.scene.attachments().length === 0, 10_000)
  assert.deepEqual(detaches(lab), [undefined, 'true'])
})

test('an instance that is gone is not waited for', async () => {
  const lab = await stuckRelease()
  lab.scene.terminateInstance('i-a1')
  lab.api.store('nodes').delete('a1')
  await lab.clock.until(() => lab.scene.attachments().length === 0, longMs)
})
