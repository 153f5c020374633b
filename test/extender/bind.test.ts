// bind: no pod is bound before its devices are acknowledged for it.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { attachmentName } from '../../src/api/eni-attachment.ts'
import { refusals } from '../../src/extender/node-check.ts'
import { ExtenderUnderTest } from './extender-under-test.ts'
import { advertised, attachment, upf } from './ledger-world.ts'

const idleOnFullNode = { nodes: { a: 1 }, attachments: [attachment('idle', { status: advertised })] }

test('a pod is bound to its node, by UID, once its device is acknowledged', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const claim = extender.addPod('upf-0')
  const bound = extender.bind(claim)
  const [{ metadata: { name } } = assert.fail()] = await extender.claimed(claim)
  assert.equal(extender.bindings.length, 0)
  extender.acknowledge(name)
  assert.equal(await bound, undefined)
  assert.equal(extender.pod(claim).spec?.nodeName, 'a')
  assert.deepEqual(extender.bindings[0]?.body, {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { namespace: 'cnf', name: 'upf-0', uid: claim.uid },
    target: { apiVersion: 'v1', kind: 'Node', name: 'a' },
  })
})

test('the intent is born with the claim and both finalizers', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const claim = extender.addPod('upf-0')
  const bound = extender.bind(claim)
  const [intent = assert.fail()] = await extender.claimed(claim)
  const posted = extender.api.requests.find(({ method, path }) => method === 'POST' && path.endsWith('/eniattachments'))
  assert.partialDeepStrictEqual(posted?.body, {
    metadata: { finalizers: ['networking.k8s.aws/device', 'networking.k8s.aws/eni'] },
    spec: { nodeENI: 'upf', nodeName: 'a', instanceID: 'i-a', resourceName: 'intel.com/upf_dataplane', claim },
  })
  assert.equal(posted?.query.get('fieldManager'), 'jit-eni-extender')
  extender.acknowledge(intent.metadata.name)
  await bound
})

test('neither a device that is ready nor one acknowledged for another pod is enough', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const claim = extender.addPod('upf-0')
  const bound = extender.bind(claim)
  const [{ metadata: { name } } = assert.fail()] = await extender.claimed(claim)
  extender.setEni(name, advertised.eni)
  extender.setDevice(name, { ...advertised.device, acknowledged: 'another pod' })
  await extender.ledgerIs((ledger) => ledger.attachment(name)?.status?.device?.acknowledged !== undefined)
  assert.equal(extender.bindings.length, 0)
  extender.acknowledge(name)
  assert.equal(await bound, undefined)
})

test('a pod with two devices is bound when both are acknowledged', async (t) => {
  const extender = await ExtenderUnderTest.start(t, { attachments: [attachment('idle', { status: advertised })] })
  const claim = extender.addPod('upf-0', 2)
  const bound = extender.bind(claim)
  const claimed = await extender.claimed(claim, 2)
  const [idle, intent] = claimed.map(({ metadata }) => metadata.name).sort()
  assert.equal(idle, 'idle')
  extender.acknowledge('idle')
  await extender.ledgerIs((ledger) => ledger.attachment('idle')?.status?.device?.acknowledged === claim.uid)
  assert.equal(extender.bindings.length, 0)
  extender.acknowledge(intent ?? '')
  assert.equal(await bound, undefined)
})

test('an idle device is claimed, with its version as precondition, and no ENI is asked for', async (t) => {
  const extender = await ExtenderUnderTest.start(t, { attachments: [attachment('idle', { status: advertised })] })
  const claim = extender.addPod('upf-0')
  const { resourceVersion, uid } = extender.attachments()[0]?.metadata ?? assert.fail()
  const bound = extender.bind(claim)
  await extender.claimed(claim)
  const patch = extender.api.requests.find(({ method }) => method === 'PATCH')
  assert.deepEqual(patch?.body, { metadata: { uid, resourceVersion }, spec: { claim } })
  extender.acknowledge('idle')
  assert.equal(await bound, undefined)
  assert.equal(extender.attachments().length, 1)
})

test('an idle device that another writer changed meanwhile is not taken, and what was taken is given back', async (t) => {
  const attachments = [attachment('first', { status: advertised }), attachment('second', { status: advertised })]
  const extender = await ExtenderUnderTest.start(t, { attachments, watchesAttachments: false })
  for (const one of extender.attachments()) extender.ledger.setWatched(one.metadata.name, one)
  extender.setClaim('second', { namespace: 'cnf', name: 'faster', uid: 'faster' })
  assert.match((await extender.bind(extender.addPod('upf-0', 2))) ?? '', /node a: ENI was taken by another pod/)
  assert.deepEqual(
    extender.attachments().map(({ spec }) => spec.claim?.uid),
    [undefined, 'faster'],
  )
})

test('a repeated bind finds the intent of the first one, although nobody told the ledger of it', async (t) => {
  const extender = await ExtenderUnderTest.start(t, { watchesAttachments: false })
  const claim = extender.addPod('upf-0')
  extender.api.disturb = ({ method }) => (method === 'POST' ? { when: 'after', answer: 'reset' } : undefined)
  await assert.rejects(extender.bind(claim), /POST .*eniattachments: no answer/)
  extender.api.disturb = () => undefined
  const again = extender.bind(claim)
  await extender.ledgerIs((ledger) => ledger.claimsOf(claim.uid).length === 1)
  const [intent = assert.fail()] = extender.attachments()
  extender.acknowledge(intent.metadata.name)
  extender.ledger.setWatched(intent.metadata.name, extender.attachments()[0])
  assert.equal(await again, undefined)
  assert.equal(extender.attachments().length, 1)
})

test('a second bind of the same pod waits for the first and finds the pod bound', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const claim = extender.addPod('upf-0')
  const both = [extender.bind(claim), extender.bind(claim)]
  const [{ metadata: { name } } = assert.fail()] = await extender.claimed(claim)
  extender.acknowledge(name)
  assert.deepEqual(await Promise.all(both), [undefined, undefined])
  assert.equal(extender.bindings.length, 1)
})

test('of two pods that want the last slot at the same time exactly one gets it', async (t) => {
  const extender = await ExtenderUnderTest.start(t, { nodes: { a: 1 } })
  const pods = [extender.addPod('upf-0'), extender.addPod('upf-1')]
  const outcomes = pods.map((claim) => extender.bind(claim))
  assert.equal(await Promise.race(outcomes), `node a: ${refusals.noSlot}`)
  const [{ metadata: { name } } = assert.fail(), ...others] = extender.attachments()
  assert.deepEqual(others, [])
  extender.acknowledge(name)
  const said = await Promise.all(outcomes)
  assert.equal(said.filter((outcome) => outcome === undefined).length, 1)
})

test('a slot that was taken stays taken, however long the watch that would show it is cut', async (t) => {
  const extender = await ExtenderUnderTest.start(t, { nodes: { a: 1 }, watchesAttachments: false })
  const hangUp = new AbortController()
  const first = extender.bind(extender.addPod('upf-0'), 'a', hangUp.signal)
  await extender.ledgerIs((ledger) => ledger.attachmentsOn('a').length === 1)
  extender.clock.advance(299_000)
  assert.equal(await extender.bind(extender.addPod('upf-1')), `node a: ${refusals.noSlot}`)
  hangUp.abort()
  await first
})

test('a device that a pod of another scheduler is about to get is not claimed', async (t) => {
  const extender = await ExtenderUnderTest.start(t, idleOnFullNode)
  const other = extender.addPod('other')
  extender.api
    .store('pods')
    .update('cnf/other', (pod) => ({ ...pod, spec: { ...(pod['spec'] as object), nodeName: 'a' } }))
  await extender.ledgerIs((ledger) => ledger.account('a').resources.get(upf)?.idle.length === 0)
  assert.equal(await extender.bind(extender.addPod('upf-0')), `node a: ${refusals.noSlot}`)
  extender.deletePod(other)
  await extender.ledgerIs((ledger) => ledger.account('a').resources.get(upf)?.idle.length === 1)
  const next = extender.addPod('upf-1')
  const bound = extender.bind(next)
  await extender.claimed(next)
  extender.acknowledge('idle')
  assert.equal(await bound, undefined)
})

test('a pod that goes to another node gives back what it had claimed on the first', async (t) => {
  const extender = await ExtenderUnderTest.start(t, { nodes: { a: 1, b: 1 } })
  const claim = extender.addPod('upf-0')
  const hangUp = new AbortController()
  const first = extender.bind(claim, 'a', hangUp.signal)
  await extender.claimed(claim)
  hangUp.abort()
  await first
  const second = extender.bind(claim, 'b')
  const [onB = assert.fail()] = await extender.claimed(claim, 1, { nodeName: 'b' })
  const onA = extender.attachments().find(({ spec }) => spec.nodeName === 'a')
  assert.equal(onA?.spec.claim, undefined)
  assert.notEqual(onA?.metadata.deletionTimestamp, undefined)
  extender.acknowledge(onB.metadata.name)
  assert.equal(await second, undefined)
})

async function withOldInstance(t: TestContext) {
  const extender = await ExtenderUnderTest.start(t)
  const claim = extender.addPod('upf-0')
  const device = { ...advertised.device, acknowledged: claim.uid }
  const old = attachment('old', { instanceID: 'i-old', claim: claim.uid, status: { ...advertised, device } })
  extender.addAttachment({ ...old, spec: { ...old.spec, claim } })
  await extender.ledgerIs((ledger) => ledger.claimsOf(claim.uid).length === 1)
  return { extender, claim }
}

test('a node name that came back for another instance needs a new ENI, and the claim on the old one is freed', async (t) => {
  const { extender, claim } = await withOldInstance(t)
  const bound = extender.bind(claim)
  const [intent = assert.fail()] = await extender.claimed(claim, 1, { instanceID: 'i-a' })
  extender.acknowledge(intent.metadata.name)
  assert.equal(await bound, undefined)
  assert.equal(extender.attachments().find(({ metadata }) => metadata.name === 'old')?.spec.claim, undefined)
})

test('what was acknowledged on the last instance of a node name binds no pod, even when its claim cannot be freed', async (t) => {
  const { extender, claim } = await withOldInstance(t)
  extender.api.disturb = ({ method }) => (method === 'PATCH' ? { when: 'before', answer: 500 } : undefined)
  const bound = extender.bind(claim)
  const [intent = assert.fail()] = await extender.claimed(claim, 1, { instanceID: 'i-a' })
  await extender.ledgerIs((ledger) => ledger.attachment(intent.metadata.name) !== undefined)
  assert.equal(extender.bindings.length, 0)
  extender.acknowledge(intent.metadata.name)
  assert.equal(await bound, undefined)
})

test('an intent for the last instance of a node name is not adopted', async (t) => {
  const extender = await ExtenderUnderTest.start(t, { watchesAttachments: false })
  const claim = extender.addPod('upf-0')
  const name = attachmentName('upf', [claim.uid, upf, 0, 0])
  const old = attachment(name, { instanceID: 'i-old' })
  extender.addAttachment({ ...old, spec: { ...old.spec, claim } })
  const bound = extender.bind(claim)
  const [intent = assert.fail()] = await extender.claimed(claim, 1, { instanceID: 'i-a' })
  assert.notEqual(intent.metadata.name, name)
  await extender.ledgerIs((ledger) => ledger.claimsOf(claim.uid).length === 1)
  extender.acknowledge(intent.metadata.name)
  extender.ledger.setWatched(
    intent.metadata.name,
    extender.attachments().find(({ metadata }) => metadata.name === intent.metadata.name),
  )
  assert.equal(await bound, undefined)
})
