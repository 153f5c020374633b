// Whether the instance that an ENI was made for is still there. A node name proves nothing: it comes back for other instances; nor
// does a Node object that is gone: the instance may run. Before anything is taken, EC2 is asked.
import type { AttachmentSpec, Place } from '../api/eni-attachment.ts'
import type { Informer } from '../kube/informer.ts'
import type { NodeFacts } from '../kube/objects.ts'
import type { Absences } from './absences.ts'
import type { Ec2 } from './ec2.ts'
import type { Inventory } from './inventory.ts'

export class InstanceLife {
  readonly #ec2: Ec2
  readonly #nodes: Informer<NodeFacts>
  readonly #inventory: Inventory
  readonly #absences: Absences

  constructor(ec2: Ec2, nodes: Informer<NodeFacts>, inventory: Inventory, absences: Absences) {
    this.#ec2 = ec2
    this.#nodes = nodes
    this.#inventory = inventory
    this.#absences = absences
  }

  /** By what we know, which may be old. */
  mayBeOver({ nodeName, instanceID }: AttachmentSpec): boolean {
    if (!this.#hasNode({ nodeName, instanceID })) return true
    return this.#inventory.isLookedUp(instanceID) && this.#inventory.instance(instanceID)?.state !== 'running'
  }

  /**
   * EC2's word for its state; 'terminated' also for an instance that EC2 has not shown for a while, and 'unknown' until then. A
   * node that is there with an instance that ran a minute ago is alive, whatever its state, and EC2 is not asked. @throws Ec2Error
   */
  async state({ nodeName, instanceID }: AttachmentSpec): Promise<string> {
    const isRunning = this.#inventory.instance(instanceID)?.state === 'running'
    if (isRunning && this.#hasNode({ nodeName, instanceID })) return 'running'
    const [instance] = await this.#ec2.describeInstances([instanceID])
    const isGone = this.#absences.isGone(instanceID, instance)
    return instance?.state ?? (isGone ? 'terminated' : 'unknown')
  }

  #hasNode({ nodeName, instanceID }: Place): boolean {
    return this.#nodes.get(nodeName)?.instanceID === instanceID
  }
}
