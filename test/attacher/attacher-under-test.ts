// The attacher's real controllers over the real SDK and the real Kubernetes client, with a simulated EC2 and a fake API server
// behind them, and the words in which the tests speak to them.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { pino } from 'pino'

import { type SimulatedEc2, startEc2 } from '../../sim/ec2/start-ec2.ts'
import type { Claim, ENIAttachment } from '../../src/api/eni-attachment.ts'
import { capacityAnnotation } from '../../src/api/names.ts'
import { type NodeCapacity, parseNodeCapacity } from '../../src/api/node-capacity.ts'
import { type NodeENI, type NodeENISpec, nodeENISchema } from '../../src/api/node-eni.ts'
import { Controllers } from '../../src/attacher/controllers.ts'
import { Ec2Gate } from '../../src/attacher/ec2-gate.ts'
import { AttacherMetrics } from '../../src/attacher/metrics.ts'
import { attacherSettings } from '../../src/attacher/settings.ts'
import { Cluster } from '../../src/kube/cluster.ts'
import { EventRecorder } from '../../src/kube/event-recorder.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import type { KubeObject } from '../kube-api/resources.ts'

import { attacherWorld, resource } from './attacher-world.ts'
import { DevicePluginStandIn } from './device-plugin-stand-in.ts'
import { ec2Access } from './ec2-access.ts'
import { Scene } from './scene.ts'
import { TestClock } from './test-clock.ts'

export const clusterName = 'test-cluster'
const log = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' })
const settings = attacherSettings({ JIT_ENI_RESOURCES: `${resource},intel.com/other`, JIT_ENI_CLUSTER: clusterName })

export class AttacherUnderTest extends Scene {
  override readonly api: FakeApiServer
  override readonly ec2: SimulatedEc2
  readonly clock = new TestClock()
  readonly devicePlugin: DevicePluginStandIn
  readonly #stops: (() => Promise<void>)[] = []

  private constructor(api: FakeApiServer, ec2: SimulatedEc2) {
    super(api, ec2)
    this.api = api
    this.ec2 = ec2
    this.devicePlugin = new DevicePluginStandIn(api.store('eniattachments'))
  }

  /** Nodes a1 and a2 in zone a, b1 in zone b, and no controllers yet. */
  static async prepare(test: TestContext): Promise<AttacherUnderTest> {
    const ec2 = await startEc2({ world: attacherWorld })
    Object.assign(process.env, ec2.environment())
    const attacher = new AttacherUnderTest(await FakeApiServer.start(), ec2)
    test.after(async () => {
      await Promise.all(attacher.#stops.map((stop) => stop()))
      await attacher.api.stop()
      await ec2.stop()
    })
    for (const name of ['a1', 'a2', 'b1']) attacher.addNode(name)
    return attacher
  }

  /** Controllers that run until the end of the test. */
  static async start(test: TestContext): Promise<AttacherUnderTest> {
    const attacher = await AttacherUnderTest.prepare(test)
    attacher.startControllers()
    return attacher
  }

  /** Returns a function that stops them. */
  startControllers(): () => Promise<void> {
    const abort = new AbortController()
    const cluster = new Cluster(this.api.kubeconfig)
    const events = new EventRecorder(cluster, 'jit-eni-attacher', log)
    const gate = new Ec2Gate(this.clock)
    const ec2 = ec2Access({ gate, clock: this.clock })
    const controllers = new Controllers({
      cluster,
      ec2,
      gate,
      events,
      settings,
      metrics: new AttacherMetrics(),
      clock: this.clock,
      log,
    })
    const running = controllers.run(abort.signal)
    const stop = async () => {
      abort.abort()
      await running
    }
    this.#stops.push(stop)
    return stop
  }

  /** Resolves with what the node's annotation says once it is as told. */
  async capacityIs(name: string, is: (capacity: NodeCapacity) => boolean): Promise<NodeCapacity> {
    const read = (object: KubeObject | undefined) =>
      parseNodeCapacity(object?.metadata.annotations?.[capacityAnnotation])
    const reached = await this.api.until('nodes', name, (object) => {
      const capacity = read(object)
      return capacity !== undefined && is(capacity)
    })
    return read(reached) ?? assert.fail()
  }

  async attachmentIs(name: string, is: (attachment: ENIAttachment) => boolean): Promise<ENIAttachment> {
    const reached = (object: KubeObject | undefined) => object !== undefined && is(object as unknown as ENIAttachment)
    return (await this.api.until('eniattachments', name, reached)) as unknown as ENIAttachment
  }

  attached(name: string): Promise<ENIAttachment> {
    return this.attachmentIs(name, ({ status }) => status?.eni?.attached === true)
  }

  failed(name: string): Promise<ENIAttachment> {
    return this.attachmentIs(name, ({ status }) => status?.eni?.failure?.terminal === true)
  }

  async gone(name: string): Promise<void> {
    await this.api.until('eniattachments', name, (object) => object === undefined)
  }

  /** As the extender does when it hears of the failure: the pod goes elsewhere. */
  async giveClaimBack(): Promise<void> {
    this.setClaim('upf-1', undefined)
    await this.gone('upf-1')
  }

  /** Resolves when the objects, all together, are as told. */
  async attachmentsAre(is: (attachments: ENIAttachment[]) => boolean): Promise<ENIAttachment[]> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = () => is(this.attachments()) && resolve()
    const off = this.api.store('eniattachments').onChange(look)
    look()
    await promise
    off()
    return this.attachments()
  }

  async nodeENIIs(name: string, is: (nodeENI: NodeENI) => boolean): Promise<NodeENI> {
    const read = (object: KubeObject) => nodeENISchema.parse(object)
    const reached = await this.api.until('nodeenis', name, (object) => object !== undefined && is(read(object)))
    return read(reached ?? assert.fail(`there is no NodeENI ${name}`))
  }

  /** Resolves with the condition Ready once it has this status. */
  async ready(name: string, status: 'True' | 'False'): Promise<{ reason: string; message: string }> {
    const conditionOf = (nodeENI: NodeENI) => nodeENI.status?.conditions?.find(({ type }) => type === 'Ready')
    const nodeENI = await this.nodeENIIs(name, (one) => conditionOf(one)?.status === status)
    return conditionOf(nodeENI) ?? assert.fail()
  }

  /** Resolves with the message of the first event of this reason on the object. */
  async event(kind: string, name: string, reason: string): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>()
    const store = this.api.store('events')
    const look = () => {
      for (const event of store.list() as unknown as KubeEvent[]) {
        const { involvedObject: about } = event
        if (about.kind === kind && about.name === name && event.reason === reason) resolve(event.message)
      }
    }
    const off = store.onChange(look)
    look()
    const message = await promise
    off()
    return message
  }

  /** A NodeENI `upf` that is ready, and an intent `upf-1` of a pod on node a1. */
  async addStory(spec: Partial<NodeENISpec> = {}): Promise<Claim> {
    this.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '0s', ...spec })
    await this.ready('upf', 'True')
    const claim = this.addPod('upf-0')
    this.addIntent('upf-1', claim)
    return claim
  }

  /** How many ENIs were ever made for us. */
  get created(): number {
    const calls = this.ec2.calls.of('CreateNetworkInterface')
    return new Set(calls.flatMap(({ result }) => JSON.stringify(result)?.match(/"eni-[0-9a-z]+"/)?.[0] ?? [])).size
  }

  /** Resolves after the next call of this action. */
  async call(action: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const off = this.ec2.calls.on((call) => call.action === action && resolve())
    await promise
    off()
  }
}

interface KubeEvent {
  readonly involvedObject: { readonly kind: string; readonly name: string }
  readonly reason: string
  readonly message: string
}
