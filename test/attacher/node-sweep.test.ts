// What EC2 says of our instances reaches every node, whatever is wrong with one of them.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { capacityAnnotation } from '../../src/api/names.ts'
import type { NodeENI } from '../../src/api/node-eni.ts'
import type { Ec2, Instance, InstanceType } from '../../src/attacher/ec2.ts'
import { AttachmentStore } from '../../src/attacher/attachment-store.ts'
import { Ec2Error } from '../../src/attacher/ec2-error.ts'
import { Inventory } from '../../src/attacher/inventory.ts'
import { NodeRefusals } from '../../src/attacher/node-refusals.ts'
import { NodeSweep, type NodeSweepParts } from '../../src/attacher/node-sweep.ts'
import type { Clock } from '../../src/process/clock.ts'
import { Cluster } from '../../src/kube/cluster.ts'
import { Informer } from '../../src/kube/informer.ts'
import { attachmentParser, type NodeFacts, nodeENIParser, parseNode } from '../../src/kube/objects.ts'
import { attachmentsPath, nodeENIsPath, nodesPath } from '../../src/kube/resource.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import { ManualClock } from '../process/manual-clock.ts'
import { allForUs, nodeENIOf, nodeOf } from './objects.ts'
import { TestClock } from './test-clock.ts'

const options = { timeout: 10_000 }
const log = pino({ level: 'silent' })
const known: InstanceType = { name: 'known', cards: [{ index: 0, maxInterfaces: 4 }], sharedAttachments: undefined }

async function sweepUnderTest(
  t: TestContext,
  typeOf: (instanceID: string) => string = () => 'known',
  clock: Clock = new TestClock(),
) {
  const api = await FakeApiServer.start()
  const stop = new AbortController()
  const cluster = new Cluster(api.kubeconfig)
  const nodes = new Informer<NodeFacts>({ cluster, path: nodesPath, parse: parseNode, log })
  const nodeENIs = new Informer<NodeENI>({ cluster, path: nodeENIsPath, parse: nodeENIParser(log), log })
  const attachments = new Informer({ cluster, path: attachmentsPath, parse: attachmentParser(log), log })
  const instanceOf = (id: string): Instance => ({
    id,
    type: typeOf(id),
    state: 'running',
    vpcID: 'vpc-1',
    zone: 'eu-north-1a',
    interfaces: [{ eniID: `eni-${id}`, networkCard: 0, deviceIndex: 0 }],
    volumes: 1,
  })
  const ec2: Partial<Ec2> = {
    describeInstances: async (ids) => ids.map(instanceOf),
    describeInstanceTypes: async (names) => [known].filter(({ name }) => names.includes(name)),
  }
  for (const name of ['a1', 'a2', 'a3'])
    api.store('nodes').create({ metadata: { name }, spec: { providerID: `aws:///eu-north-1a/i-${name}` } })
  const spec = { nodeSelector: {}, subnetIDs: ['subnet-a1'], securityGroupIDs: ['sg-upf'] }
  api.store('nodeenis').create({ metadata: { name: 'n6' }, spec })
  const inventory = new Inventory({ ec2: () => ec2 as Ec2, policy: allForUs, clock: new TestClock() })
  const swept = Promise.withResolvers<void>()
  const troubled = Promise.withResolvers<void>()
  const sweep = new NodeSweep({
    cluster,
    store: new AttachmentStore(cluster, attachments),
    nodes,
    nodeENIs,
    inventory,
    refusals: new NodeRefusals(new TestClock()),
    onSwept: swept.resolve,
    onTrouble: troubled.resolve,
    clock,
    log,
  })
  const running: Promise<void>[] = [nodes, nodeENIs, attachments].map((informer) => informer.run(stop.signal))
  t.after(async () => {
    stop.abort()
    await Promise.all(running)
    await api.stop()
  })
  await Promise.all([nodes.synced, nodeENIs.synced, attachments.synced])
  const start = () => void running.push(sweep.run(stop.signal))
  const annotated = () =>
    api
      .store('nodes')
      .list()
      .filter(({ metadata }) => metadata.annotations?.[capacityAnnotation] !== undefined)
      .map(({ metadata }) => metadata.name)
  return { api, inventory, sweep, start, swept: swept.promise, troubled: troubled.promise, annotated }
}

for (const answer of [403, 404, 500]) {
  test(`a node whose annotation is answered with ${answer} keeps no other from being written`, options, async (t) => {
    const { api, start, swept, annotated } = await sweepUnderTest(t)
    api.disturb = ({ method, path }) =>
      method === 'PATCH' && path.endsWith('/nodes/a1') ? { when: 'before', answer } : undefined
    start()
    await swept
    assert.deepEqual(annotated(), ['a2', 'a3'])
  })
}

test('a node whose instance type EC2 does not describe keeps no other from being written', options, async (t) => {
  const { start, swept, annotated, inventory } = await sweepUnderTest(t, (id) => (id === 'i-a2' ? 'new' : 'known'))
  start()
  await swept
  assert.deepEqual(annotated(), ['a1', 'a3'])
  assert.equal(inventory.isLookedUp('i-a2'), false)
})

test('a sweep that failed is tried again as soon as it is known that EC2 answers', options, async (t) => {
  let isRefused = true
  const typeOf = () => {
    if (isRefused) throw new Ec2Error('DescribeInstances', 'Credentials', 'AuthFailure', 'who are you?', undefined)
    return 'known'
  }
  const clock = new ManualClock()
  const { sweep, start, swept, troubled, annotated } = await sweepUnderTest(t, typeOf, clock)
  start()
  await troubled
  isRefused = false
  sweep.retry()
  const gatherMs = 100
  await clock.timerFor(gatherMs)
  clock.advance(gatherMs)
  await swept
  assert.deepEqual(annotated(), ['a1', 'a2', 'a3'])
})

/** A sweep on a virtual clock, and when it described the instances. */
class Sweeping {
  readonly clock = new VirtualClock()
  readonly nodes = new Map<string, NodeFacts>()
  readonly sweptAtMs: number[] = []
  readonly sweep: NodeSweep
  readonly #lookedUp = new Set<string>()

  constructor(t: TestContext) {
    const stop = new AbortController()
    const refresh = async (ids: readonly string[]) => {
      this.sweptAtMs.push(this.clock.monotonic())
      for (const id of ids) this.#lookedUp.add(id)
    }
    const parts = {
      nodes: this.nodes,
      nodeENIs: new Map([['upf', nodeENIOf('upf')]]),
      store: { all: () => [] },
      inventory: { refresh, isLookedUp: (id: string) => this.#lookedUp.has(id), capacityOf: () => undefined },
      onSwept: () => undefined,
      clock: this.clock,
      log,
    }
    this.sweep = new NodeSweep(parts as unknown as NodeSweepParts)
    void this.sweep.run(stop.signal)
    t.after(() => stop.abort())
  }

  /** Five contradictions a second. Answers how long each sweep came after the one before, the first after the first contradiction. */
  async contradictFor(ms: number): Promise<number[]> {
    const beganAtMs = this.clock.monotonic()
    this.sweptAtMs.length = 0
    for (; this.clock.monotonic() - beganAtMs < ms; await this.clock.advance(200)) this.sweep.sweepSoon()
    return this.sweptAtMs.map((atMs, i) => atMs - (this.sweptAtMs[i - 1] ?? beganAtMs))
  }
}

test('sweeps after contradictions come at once, then ever more rarely, until there were none for a while', async (t) => {
  const sweeping = new Sweeping(t)
  await sweeping.clock.advance(60_000)
  assert.deepEqual(await sweeping.contradictFor(45_000), [100, 1_100, 2_100, 4_100, 8_100, 10_100, 10_100])
  await sweeping.clock.advance(10_000)
  assert.equal(sweeping.sweptAtMs.length, 8, 'the last contradiction is answered too')
  await sweeping.clock.advance(30_000)
  assert.deepEqual(await sweeping.contradictFor(3_000), [100, 1_100])
})

test('a node that comes while contradictions are spaced is swept at once', async (t) => {
  const sweeping = new Sweeping(t)
  await sweeping.contradictFor(20_000)
  sweeping.sweptAtMs.length = 0
  const node = nodeOf('a1')
  sweeping.nodes.set('a1', node)
  sweeping.sweep.nodesChanged([node])
  await sweeping.clock.advance(100)
  assert.equal(sweeping.sweptAtMs.length, 1)
})

test('of a node that changes no other is looked at, and one whose instance is known asks for no sweep', async (t) => {
  const sweeping = new Sweeping(t)
  const node = nodeOf('a1')
  sweeping.nodes.set('a1', node)
  await sweeping.clock.advance(1_000)
  const swept = sweeping.sweptAtMs.length
  const look = t.mock.method(sweeping.nodes, 'values')
  sweeping.sweep.nodesChanged([node])
  assert.equal(look.mock.callCount(), 0)
  await sweeping.clock.advance(1_000)
  assert.equal(sweeping.sweptAtMs.length, swept)
})
