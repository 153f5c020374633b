// bind when something goes wrong: the pod hears why in one line, and no claim is lost or left behind.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { refusals } from '../../src/extender/node-check.ts'
import { filter } from '../../src/extender/filter.ts'
import { ExtenderUnderTest } from './extender-under-test.ts'
import { advertised, attachment, failing, terminal, upf } from './ledger-world.ts'

const one = new Map([[upf, 1]])
const idle = { attachments: [attachment('idle', { status: advertised })] }

async function waiting(extender: ExtenderUnderTest, signal?: AbortSignal) {
  const claim = extender.addPod('upf-0')
  const bound = extender.bind(claim, 'a', signal)
  const [{ metadata: { name } } = assert.fail()] = await extender.claimed(claim)
  await extender.ledgerIs((ledger) => ledger.claimsOf(claim.uid).length === 1)
  return { claim, bound, name }
}

test('an ENI that failed for good frees the claim, and the pod hears the reason', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { claim, bound, name } = await waiting(extender)
  extender.setEni(name, { subnetID: 'subnet-1', failure: terminal('subnet subnet-1 has no free address') })
  assert.equal(await bound, 'node a: subnet subnet-1 has no free address')
  await extender.claimed(claim, 0)
  assert.equal(extender.bindings.length, 0)
})

test('a failure that is tried again does not end the wait', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { bound, name } = await waiting(extender)
  extender.setEni(name, { failure: { ...terminal('throttled'), terminal: false } })
  await extender.ledgerIs((ledger) => ledger.attachment(name)?.status?.eni?.failure !== undefined)
  extender.acknowledge(name)
  assert.equal(await bound, undefined)
})

test('after a failure the next bind writes a new intent under another name', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { claim, bound, name } = await waiting(extender)
  extender.setEni(name, { failure: terminal('no') })
  await bound
  const again = extender.bind(claim)
  const [second = assert.fail()] = await extender.claimed(claim)
  assert.notEqual(second.metadata.name, name)
  extender.acknowledge(second.metadata.name)
  assert.equal(await again, undefined)
})

test('a bind for a pod that is gone, or came back under its name, frees what it had claimed', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const hangUp = new AbortController()
  const { claim, bound, name } = await waiting(extender, hangUp.signal)
  hangUp.abort()
  await bound
  extender.deletePod(claim)
  extender.addPod('upf-0')
  assert.equal(await extender.bind(claim), 'pod was deleted')
  await extender.claimed(claim, 0)
  const intent = extender.attachments().find(({ metadata }) => metadata.name === name)
  assert.notEqual(intent?.metadata.deletionTimestamp, undefined, 'an intent without an ENI is withdrawn')
})

test('a pod deleted while its ENI came is not bound, and the ENI stays for the next pod', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { claim, bound, name } = await waiting(extender)
  extender.deletePod(claim)
  extender.setEni(name, advertised.eni)
  extender.acknowledge(name)
  assert.equal(await bound, 'pod was deleted')
  await extender.claimed(claim, 0)
  const [eni] = extender.attachments()
  assert.equal(eni?.metadata.deletionTimestamp, undefined)
  const next = extender.addPod('upf-1')
  const reused = extender.bind(next)
  await extender.claimed(next)
  extender.acknowledge(name)
  assert.equal(await reused, undefined)
})

test('a claim that the attacher frees ends the wait', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { bound, name } = await waiting(extender)
  extender.setClaim(name, undefined)
  assert.equal(await bound, 'node a: the claim was withdrawn')
})

test('a claim that moves to another device while the pod waits still leads to its Binding', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { claim, bound, name } = await waiting(extender)
  extender.addIdle('other')
  extender.setClaim('other', claim)
  extender.setClaim(name, { namespace: 'cnf', name: 'holder', uid: 'holder' })
  await extender.ledgerIs((ledger) => ledger.attachment(name)?.spec.claim?.uid === 'holder')
  extender.acknowledge('other')
  assert.equal(await bound, undefined)
})

test('a caller that hangs up gets no Binding posted, and the claim stays for its next try', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const hangUp = new AbortController()
  const { claim, bound, name } = await waiting(extender, hangUp.signal)
  hangUp.abort()
  assert.equal(await bound, 'the scheduler hung up')
  extender.acknowledge(name)
  await extender.ledgerIs((ledger) => ledger.attachment(name)?.status?.device?.acknowledged === claim.uid)
  assert.equal(extender.bindings.length, 0)
  assert.equal(await extender.bind(claim), undefined)
  assert.equal(extender.attachments().length, 1)
})

test('a caller that hangs up just before its acknowledged device is looked at gets no Binding either', async (t) => {
  const extender = await ExtenderUnderTest.start(t, idle)
  const claim = extender.addPod('upf-0')
  extender.setClaim('idle', claim)
  extender.acknowledge('idle')
  await extender.ledgerIs((ledger) => ledger.attachment('idle')?.status?.device?.acknowledged === claim.uid)
  const hangUp = new AbortController()
  t.mock.method(extender.ledger, 'onNodeChange', () => {
    hangUp.abort()
    return () => undefined
  })
  assert.equal(await extender.bind(claim, 'a', hangUp.signal), 'the scheduler hung up')
  assert.equal(extender.bindings.length, 0)
})

test('a device that is advertised but not acknowledged within 5 s is given up, and its node left out for 30 s', async (t) => {
  const extender = await ExtenderUnderTest.start(t, idle)
  const { claim, bound } = await waiting(extender)
  await extender.clock.timerFor(5_000)
  extender.clock.advance(5_000)
  assert.match(
    (await bound) ?? '',
    /^node a: ENI device plugin did not acknowledge .* within 5 s; is its pod running\?$/,
  )
  await extender.claimed(claim, 0)
  const refused = filter(extender.ledger, claim.uid, one, ['a']).FailedAndUnresolvableNodes
  assert.deepEqual(refused, { a: refusals.pluginSilent })
  extender.clock.advance(30_000)
  assert.deepEqual(filter(extender.ledger, claim.uid, one, ['a']).NodeNames, ['a'])
})

test('an attached ENI whose plugin is silent is given up after 60 s, and its node left out', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { claim, bound, name } = await waiting(extender)
  extender.setEni(name, advertised.eni)
  await extender.clock.timerFor(60_000)
  extender.clock.advance(60_000)
  assert.match((await bound) ?? '', /^node a: ENI device plugin did not acknowledge the device within 60 s/)
  await extender.claimed(claim, 0)
  assert.deepEqual(filter(extender.ledger, claim.uid, one, ['a']).FailedAndUnresolvableNodes, {
    a: refusals.pluginSilent,
  })
})

test('a card that the device plugin cannot offer is the reason that the pod hears, and no reason to leave the node out', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { claim, bound, name } = await waiting(extender)
  extender.setDevice(name, { health: 'Unhealthy', failure: failing('interface ens6 has an address of the node') })
  // The time of the device begins when the ENI is attached: by then the extender knows of the card.
  extender.setEni(name, advertised.eni)
  await extender.clock.timerFor(60_000)
  extender.clock.advance(60_000)
  assert.equal(await bound, 'node a: interface ens6 has an address of the node')
  await extender.claimed(claim, 0)
  assert.equal(extender.ledger.isSuspended('a'), false)
  assert.equal(await extender.bind(claim), `node a: ${refusals.deviceFailed}`)
  assert.equal(extender.attachments().length, 1, 'no ENI more')
})

test('an ENI that is attached only at the end of the bind keeps its claim, and its plugin is not called silent', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { claim, bound, name } = await waiting(extender)
  await extender.clock.timerFor(300_000)
  extender.clock.advance(299_000)
  extender.setEni(name, advertised.eni)
  await extender.clock.timerFor(60_000)
  extender.clock.advance(1_000)
  assert.match((await bound) ?? '', /^node a: ENI was not ready within 300 s/)
  await extender.claimed(claim, 1)
  assert.equal(extender.ledger.isSuspended('a'), false)
})

test('a claim is given back although another writer changes the object at that moment', async (t) => {
  const extender = await ExtenderUnderTest.start(t, { nodes: { a: 4, b: 4 } })
  const hangUp = new AbortController()
  const { claim, bound, name } = await waiting(extender, hangUp.signal)
  hangUp.abort()
  await bound
  let writes = 0
  extender.api.disturb = ({ method, path }) => {
    if (method === 'PATCH' && path.endsWith(name) && writes++ < 2) extender.setEni(name, { eniID: `eni-${writes}` })
    return undefined
  }
  const elsewhere = extender.bind(claim, 'b')
  const [second = assert.fail()] = await extender.claimed(claim, 1, { nodeName: 'b' })
  assert.equal(extender.attachments().find(({ metadata }) => metadata.name === name)?.spec.claim, undefined)
  extender.acknowledge(second.metadata.name)
  assert.equal(await elsewhere, undefined)
})

test('a pod whose resource only kube-scheduler knows is not bound', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const spec = { containers: [{ name: 'upf', resources: { limits: { 'intel.com/unknown': '1' } } }] }
  const { metadata } = extender.api.store('pods').create({ metadata: { name: 'upf-0', namespace: 'cnf' }, spec })
  const problem = await extender.bind({ namespace: 'cnf', name: 'upf-0', uid: metadata.uid })
  assert.match(problem ?? '', /asks for none of JIT_ENI_RESOURCES \(intel\.com\/upf_dataplane\)/)
  assert.equal(extender.bindings.length, 0)
})

test('an ENI that is late keeps its claim and its node, so that the next try is quick', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { claim, bound } = await waiting(extender)
  await extender.clock.timerFor(300_000)
  extender.clock.advance(299_999)
  assert.equal(extender.ledger.claimsOf(claim.uid).length, 1)
  extender.clock.advance(1)
  assert.equal(await bound, 'node a: ENI was not ready within 300 s; see kubectl describe enia, trying again')
  await extender.claimed(claim, 1)
  assert.deepEqual(filter(extender.ledger, claim.uid, one, ['a']).NodeNames, ['a'])
})

test('a wait that ended leaves no deadline behind', async (t) => {
  const extender = await ExtenderUnderTest.start(t)
  const { bound, name } = await waiting(extender)
  await extender.clock.timerFor(300_000)
  extender.acknowledge(name)
  await bound
  assert.deepEqual(extender.clock.delays, [])
})

test('a Binding refused because the pod is on this node already is a success', async (t) => {
  const extender = await ExtenderUnderTest.start(t, idle)
  const { bound, claim } = await waiting(extender)
  bindBehindItsBack(extender, 'a')
  extender.acknowledge('idle')
  assert.equal(await bound, undefined)
  assert.equal(extender.pod(claim).spec?.nodeName, 'a')
})

test('a Binding refused because the pod is on another node is an error', async (t) => {
  const extender = await ExtenderUnderTest.start(t, idle)
  const { bound, claim } = await waiting(extender)
  bindBehindItsBack(extender, 'b')
  extender.acknowledge('idle')
  await assert.rejects(bound, /already assigned to node b/)
  assert.equal(await extender.bind(claim), 'pod is bound to b already')
})

test('a Binding whose answer was lost is found on the next try', async (t) => {
  const extender = await ExtenderUnderTest.start(t, idle)
  const { bound, claim } = await waiting(extender)
  extender.api.disturb = ({ path }) => (path.endsWith('/binding') ? { when: 'after', answer: 'reset' } : undefined)
  extender.acknowledge('idle')
  await assert.rejects(bound, /binding: no answer/)
  assert.equal(await extender.bind(claim), undefined)
  assert.equal(extender.bindings.length, 1)
})

test('an intent that cannot be written gives back the device that was claimed with it', async (t) => {
  const extender = await ExtenderUnderTest.start(t, idle)
  const claim = extender.addPod('upf-0', 2)
  extender.api.disturb = ({ method }) => (method === 'POST' ? { when: 'before', answer: 500 } : undefined)
  await assert.rejects(extender.bind(claim), /POST .*eniattachments/)
  assert.equal(extender.attachments().length, 1)
  await extender.claimed(claim, 0)
})

/** Another scheduler, or our own try of which we heard nothing. */
function bindBehindItsBack(extender: ExtenderUnderTest, node: string): void {
  extender.api.disturb = ({ path }) => {
    if (!path.endsWith('/binding')) return undefined
    const pods = extender.api.store('pods')
    for (const { metadata } of pods.list()) {
      const key = `${metadata.namespace}/${metadata.name}`
      pods.update(key, (pod) => ({ ...pod, spec: { ...(pod['spec'] as object), nodeName: node } }))
    }
    return undefined
  }
}
