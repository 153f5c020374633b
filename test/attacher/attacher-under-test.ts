// The attacher's real controllers over the real SDK and the real Kubernetes client, with a simulated EC2 and a fake API server
// behind them, and the words in which the tests speak to them.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { pino } from 'pino'

import { type SimulatedEc2, startEc2 } from '../../sim/ec2/start-ec2.ts'
import { attachNetworkInterface } from '../../sim/ec2/state/attach-network-interface.ts'
import { createNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'
import { type AttachmentSpec, type Claim, type ENIAttachment, newAttachment } from '../../src/api/eni-attachment.ts'
import { capacityAnnotation, zoneLabel } from '../../src/api/names.ts'
import { type NodeCapacity, parseNodeCapacity } from '../../src/api/node-capacity.ts'
import { type NodeENI, type NodeENISpec, nodeENISchema } from '../../src/api/node-eni.ts'
import { Controllers } from '../../src/attacher/controllers.ts'
import { Ec2SdkClient } from '../../src/attacher/ec2-client.ts'
import { attacherSettings } from '../../src/attacher/settings.ts'
import { EventRecorder } from '../../src/kube/event-recorder.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import type { KubeObject } from '../kube-api/resources.ts'

import { attacherWorld, resource } from './attacher-world.ts'
import { CrashingCluster, crashingEc2, CrashPoint } from './crash-point.ts'
import { DevicePluginStandIn } from './device-plugin-stand-in.ts'
import { TestClock } from './test-clock.ts'

export const clusterName = 'test-cluster'
const log = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' })
const settings = attacherSettings({ JIT_ENI_RESOURCES: `${resource},intel.com/other`, JIT_ENI_CLUSTER: clusterName })

export class AttacherUnderTest {
  readonly api: FakeApiServer
  readonly ec2: SimulatedEc2
  readonly clock = new TestClock()
  readonly devicePlugin: DevicePluginStandIn
  /** ENIs that were there before us. */
  readonly foreign: Set<string>
  readonly #stops: (() => Promise<void>)[] = []

  private constructor(api: FakeApiServer, ec2: SimulatedEc2) {
    this.api = api
    this.ec2 = ec2
    this.devicePlugin = new DevicePluginStandIn(api.store('eniattachments'))
    this.foreign = new Set(ec2.state.enis().map(({ eniId }) => eniId))
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

  /** Returns a function that stops them; a crashed process is stopped without waiting for it. */
  startControllers(point: CrashPoint = new CrashPoint(Infinity)): () => Promise<void> {
    const abort = new AbortController()
    const cluster = new CrashingCluster(this.api.kubeconfig, point)
    const events = new EventRecorder(cluster, 'jit-eni-attacher', log)
    const ec2 = crashingEc2(new Ec2SdkClient(() => undefined), point)
    const controllers = new Controllers({ cluster, ec2, events, settings, clock: this.clock, log })
    const running = controllers.run(abort.signal)
    const stop = async () => {
      abort.abort()
      await Promise.race([running, point.crashed])
    }
    this.#stops.push(stop)
    return stop
  }

  addNode(name: string): void {
    const instanceID = `i-${name}`
    const zone = this.ec2.state.instances().find(({ instanceId }) => instanceId === instanceID)?.availabilityZone
    const labels = { ...(zone !== undefined && { [zoneLabel]: zone }), node: name }
    const spec = { providerID: `aws:///${zone}/${instanceID}` }
    this.api.store('nodes').create({ metadata: { name, labels } as { name: string }, spec })
  }

  addNodeENI(name: string, spec: Partial<NodeENISpec> = {}): void {
    const common = { nodeSelector: {}, subnetIDs: ['subnet-a1'], securityGroupIDs: ['sg-upf'] }
    this.api.store('nodeenis').create({ metadata: { name }, spec: { ...common, ...spec } })
  }

  /** Somebody else attaches an ENI, as VPC CNI does. */
  attachForeign(instanceId: string, deviceIndex: number): void {
    const { state } = this.ec2
    const { eniId } = createNetworkInterface(state, { subnetId: state.instance(instanceId).subnetId })
    attachNetworkInterface(state, { eniId, instanceId, deviceIndex, networkCard: 0 })
    this.foreign.add(eniId)
  }

  /** Somebody else takes it away again. */
  detachForeign(eniId: string): void {
    this.ec2.detachByHand(eniId)
    this.ec2.state.removeEni(this.ec2.state.eni(eniId))
    this.foreign.delete(eniId)
  }

  /** EC2 takes the instance with all its ENIs that are to go with it. */
  terminateInstance(instanceId: string): void {
    this.ec2.terminateInstance(instanceId)
    for (const id of this.foreign) if (this.ec2.state.findEni(id) === undefined) this.foreign.delete(id)
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

  changeNodeENI(name: string, spec: Partial<NodeENISpec>): void {
    const change = (object: KubeObject) => ({ ...object, spec: { ...(object['spec'] as object), ...spec } })
    this.api.store('nodeenis').update(name, change)
  }

  addPod(name: string, nodeName = 'a1'): Claim {
    return this.#createPod(name, { schedulerName: 'jit-eni', nodeName })
  }

  /** As a pod is while the extender waits for its ENI. */
  addUnboundPod(name: string): Claim {
    return this.#createPod(name, { schedulerName: 'jit-eni' })
  }

  bindPod({ namespace, name }: Claim, nodeName: string): void {
    const bound = (pod: KubeObject) => ({ ...pod, spec: { ...(pod['spec'] as object), nodeName } })
    this.api.store('pods').update(`${namespace}/${name}`, bound)
  }

  #createPod(name: string, spec: object): Claim {
    const pod = this.api.store('pods').create({ metadata: { name, namespace: 'cnf' }, spec })
    return { namespace: 'cnf', name, uid: pod.metadata.uid }
  }

  endPod({ namespace, name }: Claim): void {
    this.api.store('pods').delete(`${namespace}/${name}`)
  }

  /** As the extender does for a pod that needs an ENI. */
  addIntent(name: string, claim: Claim | undefined, spec: Partial<AttachmentSpec> = {}): void {
    const node = { nodeName: 'a1', instanceID: 'i-a1' }
    const intent = { nodeENI: 'upf', resourceName: resource, ...node, ...(claim && { claim }), ...spec }
    this.api.store('eniattachments').create(newAttachment(name, intent) as { metadata: { name: string } })
  }

  /** As the extender does: for the next pod, or for one whose bind failed. */
  setClaim(name: string, claim: Claim | undefined): void {
    this.api.store('eniattachments').update(name, (object) => {
      const { claim: _, ...spec } = object['spec'] as AttachmentSpec
      return { ...object, spec: { ...spec, ...(claim && { claim }) } }
    })
  }

  attachment(name: string): ENIAttachment {
    return (this.api.store('eniattachments').get(name) ??
      assert.fail(`there is no ${name}`)) as unknown as ENIAttachment
  }

  attachments(): ENIAttachment[] {
    return this.api.store('eniattachments').list() as unknown as ENIAttachment[]
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
