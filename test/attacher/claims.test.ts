// Claims follow the pods that really hold the devices, and end with them.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { checkAccount } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'

const options = { timeout: 15_000 }

/** Two ENIs on node a1, one for each of two pods. */
async function twoPods(attacher: AttacherUnderTest) {
  attacher.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '1h' })
  await attacher.ready('upf', 'True')
  const [a, b] = [attacher.addPod('a'), attacher.addPod('b')]
  attacher.addIntent('eni-a', a)
  attacher.addIntent('eni-b', b)
  await Promise.all([attacher.attached('eni-a'), attacher.attached('eni-b')])
  return { a, b }
}

const isClaimedBy = (attacher: AttacherUnderTest, name: string, pod: string | undefined) =>
  attacher.attachmentIs(name, ({ spec }) => spec.claim?.name === pod)

test(
  'the kubelet gave a pod the device of another: both have a claim at every moment, and the right one in the end',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    await twoPods(attacher)
    attacher.api.store('eniattachments').onChange(() => {
      const claimed = attacher.attachments().map(({ spec }) => spec.claim?.name)
      assert.ok(claimed.includes('b'), 'the pod that waits is never without a claim')
    })
    attacher.devicePlugin.report('eni-b', { inUseBy: { namespace: 'cnf', name: 'a' } })
    await isClaimedBy(attacher, 'eni-b', 'a')
    await isClaimedBy(attacher, 'eni-a', 'b')
    checkAccount(attacher)
  },
)

test('an ENI that a pod holds is not released, though its claim is gone', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const { a } = await twoPods(attacher)
  attacher.devicePlugin.report('eni-a', { inUseBy: { namespace: 'cnf', name: 'a' } })
  attacher.endPod(a)
  const { status } = await isClaimedBy(attacher, 'eni-a', undefined)
  assert.equal(status?.eni?.idleSince, undefined)
  attacher.devicePlugin.report('eni-a', {})
  await attacher.attachmentIs('eni-a', (one) => one.status?.eni?.idleSince !== undefined)
  checkAccount(attacher)
})

test('a pod that ended but is still listed has no claim any more', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await twoPods(attacher)
  attacher.api.store('pods').update('cnf/a', (pod) => ({ ...pod, status: { phase: 'Succeeded' } }))
  await isClaimedBy(attacher, 'eni-a', undefined)
  assert.equal(attacher.attachment('eni-b').spec.claim?.name, 'b')
})

test('a pod of the same name is another pod', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const { a } = await twoPods(attacher)
  attacher.endPod(a)
  attacher.addPod('a')
  await isClaimedBy(attacher, 'eni-a', undefined)
})

test('a claim for a pod that the attacher has not seen yet is left alone', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await twoPods(attacher)
  const spec = { schedulerName: 'another-scheduler', nodeName: 'a1' }
  const { metadata } = attacher.api.store('pods').create({ metadata: { name: 'c', namespace: 'cnf' }, spec })
  attacher.setClaim('eni-b', { namespace: 'cnf', name: 'c', uid: metadata.uid })
  attacher.api.store('pods').delete('cnf/a')
  await isClaimedBy(attacher, 'eni-a', undefined)
  assert.equal(attacher.attachment('eni-b').spec.claim?.name, 'c')
})

test('the claim of a pod that was bound to another node after all is freed at once', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '1h' })
  await attacher.ready('upf', 'True')
  const claim = attacher.addUnboundPod('a')
  attacher.addIntent('first-try', claim)
  attacher.addIntent('second-try', claim, { nodeName: 'a2', instanceID: 'i-a2' })
  await Promise.all([attacher.attached('first-try'), attacher.attached('second-try')])
  attacher.bindPod(claim, 'a2')
  await isClaimedBy(attacher, 'first-try', undefined)
  assert.equal(attacher.attachment('second-try').spec.claim?.name, 'a')
})

test('a device of an instance that had the same node name is no use to a pod that waits', options, async (t) => {
  const attacher = await AttacherUnderTest.prepare(t)
  const [a, b] = [attacher.addPod('a'), attacher.addPod('b')]
  attacher.addIntent('0-old', { namespace: 'cnf', name: 'ended', uid: 'uid-of-nobody' }, { instanceID: 'i-a2' })
  attacher.addIntent('eni-a', a)
  attacher.addIntent('eni-b', b)
  attacher.devicePlugin.report('eni-b', { inUseBy: { namespace: 'cnf', name: 'a' } })
  attacher.api.store('eniattachments').onChange(() => {
    const old = attacher.attachments().find(({ metadata }) => metadata.name === '0-old')
    assert.notEqual(old?.spec.claim?.name, 'b')
  })
  attacher.startControllers()
  await isClaimedBy(attacher, 'eni-a', 'b')
  await isClaimedBy(attacher, 'eni-b', 'a')
})
