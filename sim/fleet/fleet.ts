// The objects of a fleet: thousands of Nodes, their NodeENIs and ENIs, and pods that ask for devices, written by its administrator.
import { attacherManager, schedulerName } from '../../src/api/names.ts'
import type { KubeClient } from '../../src/kube/cluster.ts'
import { attachmentPath, attachmentsPath, nodeENIPath, nodeENIsPath, nodesPath } from '../../src/kube/resource.ts'
import { type Clock, timestamp } from '../../src/process/clock.ts'
import { atOnce } from './at-once.ts'
import { eniManifest, eniStatus, type FleetNodeENI, nodeENIManifest, nodeENIStatus } from './fleet-eni.ts'
import { type FleetNode, fleetNodeAt, type FleetShape, nodeManifest } from './fleet-node.ts'

/** Requests at the same time: enough to keep an API server on two processors busy. */
const lanes = 32

export interface FleetPods {
  readonly namespace: string
  readonly names: readonly string[]
  readonly limits: Readonly<Record<string, string>>
  /** Merged into the pod's spec. */
  readonly spec?: object
}

export class Fleet {
  readonly shape: FleetShape
  readonly #api: Pick<KubeClient, 'request'>
  readonly #clock: Clock
  readonly #nodes: FleetNode[] = []
  #enis = 0

  constructor(api: Pick<KubeClient, 'request'>, shape: FleetShape, clock: Clock) {
    this.#api = api
    this.shape = shape
    this.#clock = clock
  }

  /** In the order of their making. */
  get nodes(): readonly FleetNode[] {
    return this.#nodes
  }

  /** So many more. `differing` is what is other with these. */
  async addNodes(count: number, differing: Partial<Omit<FleetShape, 'zones'>> = {}): Promise<readonly FleetNode[]> {
    const first = this.#nodes.length
    const nodes = Array.from({ length: count }, (_, n) => fleetNodeAt(first + n, this.shape))
    this.#nodes.push(...nodes)
    const shape = { ...this.shape, ...differing }
    const time = timestamp(this.#clock)
    await atOnce(lanes, nodes, (node) =>
      this.#api.request('POST', nodesPath, { body: nodeManifest(node, shape, time) }),
    )
    return nodes
  }

  /** With the status that an attacher gives it. */
  async addNodeENI(nodeENI: FleetNodeENI): Promise<void> {
    await this.#api.request('POST', nodeENIsPath, { body: nodeENIManifest(nodeENI, this.shape) })
    const body = { status: nodeENIStatus(this.shape, timestamp(this.#clock)) }
    await this.#api.request('PATCH', `${nodeENIPath(nodeENI.name)}/status`, { as: 'merge', body })
  }

  /** An attached ENI that is free, one on each of these nodes; its device is there once the node's plugin has seen it. */
  async addENIs(nodeENI: FleetNodeENI, nodes: readonly FleetNode[], deviceIndex = 1): Promise<readonly string[]> {
    const first = this.#enis
    this.#enis += nodes.length
    const time = timestamp(this.#clock)
    const nameOf = (index: number) => `${nodeENI.name}-${first + index}`
    await atOnce(lanes, nodes, async (node, index) => {
      const name = nameOf(index)
      await this.#api.request('POST', attachmentsPath, { body: eniManifest(name, nodeENI, node) })
      const body = { status: { eni: eniStatus(first + index, deviceIndex, time) } }
      const query = { fieldManager: attacherManager }
      await this.#api.request('PATCH', `${attachmentPath(name)}/status`, { as: 'merge', body, query })
    })
    return nodes.map((_, index) => nameOf(index))
  }

  async addPods({ namespace, names, limits, spec }: FleetPods): Promise<void> {
    const resources = { limits: { cpu: '100m', memory: '64Mi', ...limits } }
    const containers = [{ name: 'upf', image: 'localhost/fleet', resources }]
    await atOnce(lanes, names, (name) => {
      const body = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace },
        spec: { schedulerName, terminationGracePeriodSeconds: 1, containers, ...spec },
      }
      return this.#api.request('POST', `/api/v1/namespaces/${namespace}/pods`, { body })
    })
  }

  /** At once, whether a kubelet has them or not. */
  async removePods(namespace: string): Promise<void> {
    const path = `/api/v1/namespaces/${namespace}/pods`
    await this.#api.request('DELETE', path, { body: { gracePeriodSeconds: 0 } })
  }

  /** As an attacher does for pods that are gone. */
  async freeClaims(attachmentNames: readonly string[]): Promise<void> {
    const query = { fieldManager: attacherManager }
    await atOnce(lanes, attachmentNames, (name) =>
      this.#api.request('PATCH', attachmentPath(name), { as: 'merge', body: { spec: { claim: null } }, query }),
    )
  }
}
