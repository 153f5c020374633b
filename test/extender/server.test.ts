// The extender's protocol over real HTTP, as kube-scheduler speaks it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

import { refusals } from '../../src/extender/node-check.ts'
import type { FilterResult } from '../../src/extender/protocol.ts'
import { advertised, attachment } from './ledger-world.ts'
import { podOf, serving } from './server-under-test.ts'

test('filter, prioritize and preempt answer in the words of the protocol', async (t) => {
  const { ask } = await serving(t, { nodes: { a: 4, b: 0 } })
  const args = { Pod: podOf(), Nodes: null, NodeNames: ['a', 'b'] }
  assert.deepEqual(await ask('filter', args), {
    NodeNames: ['a'],
    FailedAndUnresolvableNodes: { b: refusals.noSlot },
    Error: '',
  })
  assert.deepEqual(await ask('prioritize', args), [
    { Host: 'a', Score: 3 },
    { Host: 'b', Score: 0 },
  ])
  const victims = { a: { Pods: [{ UID: 'v-1' }], NumPDBViolations: 0 }, b: { Pods: null, NumPDBViolations: 0 } }
  const preemption = { Pod: podOf(), NodeNameToVictims: null, NodeNameToMetaVictims: victims }
  assert.deepEqual(await ask('preempt', preemption), { NodeNameToMetaVictims: { a: victims.a } })
})

test('an empty list of nodes and no victims at all are answered, not refused', async (t) => {
  const { ask } = await serving(t)
  const nothing = { NodeNames: [], FailedAndUnresolvableNodes: {}, Error: '' }
  assert.deepEqual(await ask('filter', { Pod: podOf(), Nodes: null, NodeNames: [] }), nothing)
  assert.deepEqual(await ask('preempt', { Pod: podOf(), NodeNameToMetaVictims: {} }), { NodeNameToMetaVictims: {} })
})

test('a pod whose resource only kube-scheduler knows is an Error that names the setting', async (t) => {
  const { ask } = await serving(t)
  const pod = podOf()
  const containers = [{ name: 'upf', resources: { limits: { 'intel.com/unknown': '1' } } }]
  const answer = (await ask('filter', { Pod: { ...pod, spec: { containers } }, NodeNames: ['a'] })) as FilterResult
  assert.match(answer.Error, /JIT_ENI_RESOURCES \(intel\.com\/upf_dataplane\).*managedResources/)
  assert.deepEqual(answer.NodeNames, [])
})

test('bind answers when the pod is bound, and a refusal is its Error text', async (t) => {
  const { extender, ask } = await serving(t, { attachments: [attachment('idle', { status: advertised })] })
  const claim = extender.addPod('upf-0')
  const args = { PodName: 'upf-0', PodNamespace: 'cnf', PodUID: claim.uid, Node: 'a' }
  const bound = ask('bind', args)
  await extender.claimed(claim)
  extender.acknowledge('idle')
  assert.deepEqual(await bound, { Error: '' })
  assert.deepEqual(await ask('bind', { ...args, PodUID: 'gone' }), { Error: 'pod was deleted' })
  const unknown = { ...args, PodName: 'upf-1', PodUID: extender.addPod('upf-1').uid, Node: 'x' }
  assert.deepEqual(await ask('bind', unknown), { Error: `node x: ${refusals.unknownNode}` })
})

test('a bind ends when its caller hangs up', async (t) => {
  const { extender, call, metrics } = await serving(t)
  const claim = extender.addPod('upf-0')
  const hangUp = new AbortController()
  const args = { PodName: 'upf-0', PodNamespace: 'cnf', PodUID: claim.uid, Node: 'a' }
  const refused = assert.rejects(call('bind', args, hangUp.signal), { name: 'AbortError' })
  const [{ metadata: { name } } = assert.fail()] = await extender.claimed(claim)
  await extender.clock.timerFor(300_000)
  hangUp.abort()
  await refused
  while (extender.clock.delays.includes(300_000)) await new Promise(setImmediate)
  extender.acknowledge(name)
  await extender.ledgerIs((ledger) => ledger.attachment(name)?.status?.device?.acknowledged === claim.uid)
  assert.equal(extender.bindings.length, 0)
  assert.match(await metrics.registry.metrics(), /^jiteni_extender_binds_waiting 0$/m)
})

// Of any other answer than 200 kube-scheduler writes "code 500" into the pod's event, and drops what it says.
for (const answer of [500, 403, 'reset'] as const) {
  test(`an API server that answers ${answer} to a bind is told in the pod's event, with what was tried`, async (t) => {
    const { extender, ask, metrics } = await serving(t)
    const { uid } = extender.addPod('upf-0')
    extender.api.disturb = () => ({ when: 'before', answer })
    const bind = { PodName: 'upf-0', PodNamespace: 'cnf', PodUID: uid, Node: 'a' }
    const { Error: says } = (await ask('bind', bind)) as { Error: string }
    assert.match(says, /^the API server [^\n]+ tries again: GET \/api\/v1\/namespaces\/cnf\/pods\/upf-0: [^\n]+$/)
    assert.match(await metrics.registry.metrics(), /^jiteni_extender_calls_total\{verb="bind",outcome="failed"\} 1$/m)
  })
}

const args = { Pod: podOf(), NodeNames: ['a'] }
const podWith = (spec: object) => ({ ...args, Pod: { ...podOf(), spec } })
const malformed: [why: string, verb: string, body: unknown, status: number, says: RegExp][] = [
  ['a path that is no verb', 'reserve', args, 404, /POST \/filter, POST \/prioritize, POST \/preempt, POST \/bind/],
  ['no JSON', 'filter', '{"Pod":', 400, /body is not JSON/],
  ['an empty body', 'bind', '', 400, /body is not JSON/],
  [
    'full nodes instead of names',
    'filter',
    { ...args, NodeNames: null, Nodes: { items: [] } },
    422,
    /nodeCacheCapable: true/,
  ],
  ['no pod', 'prioritize', { NodeNames: ['a'], Pod: null }, 422, /body at Pod: /],
  ['an empty pod', 'filter', { NodeNames: ['a'], Pod: { metadata: null, spec: null } }, 422, /body at Pod\.metadata/],
  ['a pod without a uid', 'filter', { ...args, Pod: podOf('') }, 422, /body at Pod\.metadata\.\w+: /],
  ['containers that are no list', 'filter', podWith({ containers: 'x' }), 422, /body at Pod\.spec\.containers/],
  ['a container that is null', 'filter', podWith({ containers: [null] }), 422, /body at Pod\.spec\.containers\.0/],
  ['node names that are no names', 'filter', { ...args, NodeNames: [5, null, {}] }, 422, /body at NodeNames/],
  ['no victims by UID', 'preempt', { Pod: podOf(), NodeNameToMetaVictims: null }, 422, /nodeCacheCapable: true/],
  ['a binding without its node', 'bind', { PodName: 'x', PodNamespace: 'y', PodUID: 'z' }, 422, /body at Node/],
  [
    'victims without a count',
    'preempt',
    { Pod: podOf(), NodeNameToMetaVictims: { a: { Pods: [] } } },
    422,
    /NumPDBViolations/,
  ],
  ['a body of 9 MiB', 'filter', 'x'.repeat(9 * 1024 * 1024), 413, /nodeCacheCapable: true/],
]

for (const [why, verb, body, status, says] of malformed) {
  test(`${why}: ${status} with one line`, async (t) => {
    const { call } = await serving(t)
    const answer = await call(verb, body)
    assert.equal(answer.status, status)
    assert.match(answer.text, /^[^\n]+\n$/)
    assert.match(answer.text, says)
  })
}

test('a verb that is not called with POST: 405 with one line', async (t) => {
  const { url } = await serving(t)
  for (const method of ['GET', 'PUT']) {
    const answer = await fetch(`${url}/filter`, { method })
    assert.equal(answer.status, 405)
    assert.equal(await answer.text(), `filter is called with POST, not ${method}\n`)
  }
})

test('until its caches have synced, no verb is answered from half a picture, and no pod is refused for good', async (t) => {
  const { ask, call, waitFor, extender } = await serving(t)
  const reason = 'the cache of nodes has not synced yet'
  waitFor(reason)
  assert.deepEqual(await ask('filter', args), { NodeNames: [], FailedAndUnresolvableNodes: {}, Error: reason })
  const { uid } = extender.addPod('upf-0')
  const binding = { PodName: 'upf-0', PodNamespace: 'cnf', PodUID: uid, Node: 'a' }
  assert.deepEqual(await ask('bind', binding), { Error: reason })
  assert.equal(extender.attachments().length, 0)
  const preemption = { Pod: podOf(), NodeNameToMetaVictims: {} }
  for (const [verb, body] of [['prioritize', args] as const, ['preempt', preemption] as const]) {
    assert.deepEqual(await call(verb, body), { status: 503, text: `${reason}\n` })
  }
})

test('a body that does not arrive ends with 408 and its connection, after 2 s', async (t) => {
  const { url } = await serving(t)
  const sent = request(`${url}/filter`, { method: 'POST', headers: { 'content-length': 1000 } })
  sent.write('{"Pod":')
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  assert.equal(answer.statusCode, 408)
  assert.equal(answer.headers.connection, 'close')
  assert.equal(await text(answer), 'body did not arrive within 2 s\n')
})

test('a connection is kept for longer than the 90 s for which Go keeps it', async (t) => {
  const { url } = await serving(t)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  const reused: boolean[] = []
  for (let call = 0; call < 3; call++) {
    const sent = request(`${url}/filter`, { method: 'POST', agent })
    sent.end(JSON.stringify(args))
    const [answer] = await once(sent, 'response')
    assert.match(answer.headers['keep-alive'], /timeout=120/)
    await text(answer)
    reused.push(sent.reusedSocket)
  }
  assert.deepEqual(reused, [false, true, true])
})

test('calls are counted by verb and outcome', async (t) => {
  const { ask, metrics } = await serving(t, { nodes: { a: 0 } })
  await ask('filter', args)
  const counted = await metrics.registry.metrics()
  assert.match(counted, /^jiteni_extender_calls_total\{verb="filter",outcome="refused"\} 1$/m)
})

test('the port of the verbs has no probes and no metrics', async (t) => {
  const { url } = await serving(t)
  for (const path of ['healthz', 'readyz', 'metrics']) assert.equal((await fetch(`${url}/${path}`)).status, 404)
})

test('a server that is stopped ends the binds in flight and keeps their claims', async (t) => {
  const { extender, call, stop, running } = await serving(t)
  const claim = extender.addPod('upf-0')
  const cut = assert.rejects(call('bind', { PodName: 'upf-0', PodNamespace: 'cnf', PodUID: claim.uid, Node: 'a' }))
  await extender.claimed(claim)
  stop.abort()
  await Promise.all([cut, running])
  assert.equal((await extender.claimed(claim)).length, 1)
})
