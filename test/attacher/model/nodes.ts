// Which instance bears the name of which node, and what happens to both: names come back for other instances.
import { zoneLabel } from '../../../src/api/names.ts'
import type { Ec2State } from '../../../sim/ec2/state/ec2-state.ts'
import type { Lab } from '../lab/lab.ts'
import { nodeOf } from './kubelet.ts'
import { type InstanceShape, instanceOf, type NodeName, nodeNames, resources } from './world.ts'

export class Nodes {
  readonly #lab: Lab
  readonly #onLaunch: (instanceID: string) => void
  readonly #instances = new Map<NodeName, string>()
  #launched = 0

  constructor(lab: Lab, onLaunch: (instanceID: string) => void) {
    this.#lab = lab
    this.#onLaunch = onLaunch
    for (const name of nodeNames) {
      this.#instances.set(name, `i-${name}`)
      this.register(name)
      onLaunch(`i-${name}`)
    }
  }

  instanceOf(nodeName: string): string | undefined {
    return this.#instances.get(nodeName as NodeName)
  }

  lifeOf(nodeName: NodeName): string {
    const instanceID = this.instanceOf(nodeName)
    return this.#state.instances().find(({ instanceId }) => instanceId === instanceID)?.state ?? 'terminated'
  }

  /** Its kubelet makes the Node object. */
  register(name: NodeName): string {
    if (this.#nodes.get(name) !== undefined || this.lifeOf(name) !== 'running') return nothing
    const instanceID = this.instanceOf(name) ?? ''
    const zone = this.#state.instance(instanceID).availabilityZone
    const labels = { [zoneLabel]: zone, node: name, pool: 'upf' }
    const spec = { providerID: `aws:///${zone}/${instanceID}` }
    const status = { capacity: Object.fromEntries(resources.map((resource) => [resource, '0'])) }
    this.#nodes.create({ metadata: { name, labels } as { name: string }, spec, status })
    return `node ${name} (${instanceID}) registers`
  }

  /** Somebody deletes the Node object; its kubelet makes it again. */
  unregister(name: NodeName, forMs: number): string {
    if (this.#nodes.get(name) === undefined) return nothing
    this.#nodes.delete(name)
    this.#lab.clock.after(forMs, () => this.register(name))
    return `Node ${name} is deleted by hand, and comes back in ${forMs} ms`
  }

  /** The NodeENIs that select the pool do not select it any more, or do again. */
  relabel(name: NodeName): string {
    const node = this.#nodes.get(name)
    if (node === undefined) return nothing
    const pool = node.metadata.labels?.['pool'] === 'upf' ? 'other' : 'upf'
    this.#nodes.update(name, ({ metadata, ...rest }) => ({
      ...rest,
      metadata: { ...metadata, labels: { ...metadata.labels, pool } },
    }))
    return `node ${name} gets the label pool=${pool}`
  }

  /** The cloud provider's controller takes the Node object after a while, and pods go with it. */
  terminate(name: NodeName, nodeGoneMs: number): string {
    if (!['running', 'stopped'].includes(this.lifeOf(name))) return nothing
    const instanceID = this.instanceOf(name) ?? ''
    this.#lab.ec2.terminateInstance(instanceID)
    this.#lab.clock.after(nodeGoneMs, () => {
      if (this.instanceOf(name) === instanceID) this.#forget(name)
    })
    return `instance ${instanceID} of node ${name} is terminated, its Node goes in ${nodeGoneMs} ms`
  }

  launch(name: NodeName, shape: InstanceShape): string {
    if (this.lifeOf(name) !== 'terminated') return nothing
    this.#forget(name)
    const instanceID = `i-${name}x${++this.#launched}`
    this.#lab.ec2.launchInstance(instanceOf(instanceID, name, shape))
    this.#instances.set(name, instanceID)
    this.register(name)
    this.#onLaunch(instanceID)
    return `another instance ${instanceID} (${shape}) has the name of node ${name}`
  }

  stop(name: NodeName): string {
    if (this.lifeOf(name) !== 'running') return nothing
    this.#lab.ec2.stopInstance(this.instanceOf(name) ?? '')
    return `instance of node ${name} is stopped`
  }

  start(name: NodeName): string {
    if (this.lifeOf(name) !== 'stopped') return nothing
    this.#lab.ec2.startInstance(this.instanceOf(name) ?? '')
    return `instance of node ${name} is started`
  }

  #forget(name: NodeName): void {
    if (this.#nodes.get(name) !== undefined) this.#nodes.delete(name)
    const pods = this.#lab.api.store('pods')
    for (const pod of pods.list())
      if (nodeOf(pod) === name) pods.delete(`${pod.metadata.namespace}/${pod.metadata.name}`)
  }

  get #nodes() {
    return this.#lab.api.store('nodes')
  }

  get #state(): Ec2State {
    return this.#lab.ec2.state
  }
}

/** What a step says that found nothing to do. */
export const nothing = ''
