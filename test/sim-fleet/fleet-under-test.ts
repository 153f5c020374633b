// A fleet over the API double, with the stand-ins of its nodes in this process, and the words in which the tests speak to them.
import type { TestContext } from 'node:test'
import { pino } from 'pino'

import { Fleet } from '../../sim/fleet/fleet.ts'
import { defaultShape } from '../../sim/fleet/fleet-node.ts'
import { NodeSimulator } from '../../sim/fleet/node-simulator.ts'
import type { Claim, DeviceStatus, ENIAttachment } from '../../src/api/eni-attachment.ts'
import { realClock } from '../../src/process/clock.ts'
import { ApiDouble } from '../kube-api/api-double.ts'
import { InProcessCluster } from '../kube-api/in-process-cluster.ts'
import type { KubeObject } from '../kube-api/resources.ts'

export const upf = 'intel.com/upf_dataplane'
export const nodeENI = { name: 'upf', resource: upf }
const log = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' })

export class FleetUnderTest {
  readonly api = new ApiDouble()
  readonly cluster = new InProcessCluster(this.api)
  readonly fleet = new Fleet(this.cluster, defaultShape, realClock)
  readonly simulator = new NodeSimulator({
    cluster: this.cluster,
    managed: new Set([upf]),
    kubelets: 'present',
    offerDelayMs: 0,
    clock: realClock,
    log,
  })

  static async start(t: TestContext): Promise<FleetUnderTest> {
    const world = new FleetUnderTest()
    const stop = new AbortController()
    const synced = Promise.withResolvers<void>()
    const running = world.simulator.run(stop.signal, () => synced.resolve())
    t.after(async () => {
      stop.abort()
      await running
    })
    await synced.promise
    return world
  }

  /** A node with one ENI that its plugin has offered. */
  async nodeWithDevice(): Promise<{ readonly node: string; readonly eni: string }> {
    const [node] = await this.fleet.addNodes(1)
    const [eni] = await this.fleet.addENIs(nodeENI, node === undefined ? [] : [node])
    if (node === undefined || eni === undefined) throw new Error('nothing was added')
    await this.deviceIs(eni, (device) => device?.advertised === true)
    return { node: node.name, eni }
  }

  async deviceIs(name: string, is: (device: DeviceStatus | undefined) => boolean): Promise<DeviceStatus | undefined> {
    const found = await this.api.until('eniattachments', name, (object) => is(asENI(object)?.status?.device))
    return asENI(found)?.status?.device
  }

  eni(name: string): ENIAttachment | undefined {
    return asENI(this.api.store('eniattachments').get(name))
  }

  claim(name: string, claim: Claim | undefined): void {
    this.api.store('eniattachments').update(name, (object) => {
      const { claim: _, ...spec } = object['spec'] as ENIAttachment['spec']
      return { ...object, spec: { ...spec, ...(claim && { claim }) } }
    })
  }

  /** Created, and bound there. */
  async boundPod(name: string, node: string): Promise<Claim> {
    await this.fleet.addPods({ namespace: 'cnf', names: [name], limits: { [upf]: '1' } })
    const { metadata } = this.api.store('pods').get(`cnf/${name}`) as KubeObject
    const body = { metadata: { uid: metadata.uid }, target: { kind: 'Node', name: node } }
    await this.cluster.request('POST', `/api/v1/namespaces/cnf/pods/${name}/binding`, { body })
    return { namespace: 'cnf', name, uid: metadata.uid }
  }

  /** Its status, once it is in this phase. */
  async podIs({ name }: Claim, phase: string): Promise<{ readonly reason?: string; readonly message?: string }> {
    const is = (pod: KubeObject | undefined) => (pod?.['status'] as { phase?: string } | undefined)?.phase === phase
    const pod = await this.api.until('pods', `cnf/${name}`, is)
    return pod?.['status'] as { reason?: string; message?: string }
  }

  async deletePod({ name }: Claim): Promise<void> {
    await this.cluster.request('DELETE', `/api/v1/namespaces/cnf/pods/${name}`)
  }

  async podIsGone({ name }: Claim): Promise<void> {
    await this.api.until('pods', `cnf/${name}`, (pod) => pod === undefined)
  }
}

function asENI(object: KubeObject | undefined): ENIAttachment | undefined {
  return object as unknown as ENIAttachment | undefined
}
