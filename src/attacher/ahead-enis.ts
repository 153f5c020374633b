// The ENIs that a NodeENI wants on its nodes before any pod asks: makes those that are missing, leaves a node alone for a while on
// which that has failed, and tells which nodes lack some, and why.
import { type AttachmentSpec, newAttachment, type Place } from '../api/eni-attachment.ts'
import { attacherManager } from '../api/names.ts'
import { attachPolicyOf, type NodeENI, selectsNode } from '../api/node-eni.ts'
import { createAttachment } from '../kube/attachments.ts'
import type { KubeClient } from '../kube/cluster.ts'
import type { Informer } from '../kube/informer.ts'
import { isConflict } from '../kube/kube-error.ts'
import type { NodeFacts } from '../kube/objects.ts'
import type { Clock } from '../process/clock.ts'
import { aheadOfPods, notThere } from './ahead-of-pods.ts'
import type { AttachmentStore } from './attachment-store.ts'
import type { EniPlacement } from './eni-placement.ts'
import type { GivenUp } from './eni-plan.ts'
import type { Inventory } from './inventory.ts'
import type { Network } from './network.ts'
import type { NodeRefusals } from './node-refusals.ts'

/**
 * An ENI ahead of pods that failed on a node is not made again there for so long, nor before there seems to be room: each try is a
 * create, an attach, a delete.
 */
const restMs = 60_000

/** Of one node. */
export interface Shortage {
  readonly nodeName: string
  readonly missing: number
  /** Why they cannot be made now; undefined while they are being made. */
  readonly why: string | undefined
}

interface Failed {
  readonly untilMs: number
  readonly why: string
}

export interface AheadEnisParts {
  readonly cluster: KubeClient
  readonly store: AttachmentStore
  readonly nodes: Informer<NodeFacts>
  readonly inventory: Inventory
  readonly placement: EniPlacement
  readonly refusals: NodeRefusals
  readonly clock: Clock
}

export class AheadEnis {
  readonly #parts: AheadEnisParts
  /** The last try, until the node has all of its ENIs. */
  readonly #failed = new Map<string, Failed>()

  constructor(parts: AheadEnisParts) {
    this.#parts = parts
  }

  /** An ENI that no pod had asked for could not be made on this node. */
  restOn(nodeName: string, nodeENI: NodeENI, { message: why }: GivenUp): void {
    this.#failed.set(restKey(nodeName, nodeENI), { why, untilMs: this.#parts.clock.now() + restMs })
  }

  /** It has gone, or wants none. */
  forget(nodeENIName: string): void {
    for (const key of this.#failed.keys()) if (isOf(nodeENIName, key)) this.#failed.delete(key)
  }

  async create(nodeENI: NodeENI, network: Network): Promise<void> {
    const { inventory, refusals } = this.#parts
    for (const node of this.#nodesOf(nodeENI)) {
      const place = { nodeName: node.name, instanceID: node.instanceID }
      if (inventory.instance(node.instanceID)?.state !== 'running') continue
      if (this.#isResting(place, nodeENI, network)) continue
      if (refusals.reasonAgainst(node.instanceID, nodeENI) !== undefined) continue
      for (const name of aheadOfPods(nodeENI, node, network, this.#existing(place, nodeENI)))
        await this.#create(name, nodeENI, place)
    }
  }

  /** Undefined: this NodeENI wants no ENIs ahead of pods. A node that ends, or is stopped, lacks nothing. */
  shortages(nodeENI: NodeENI, network: Network): Shortage[] | undefined {
    if (!wantsAny(nodeENI)) {
      this.forget(nodeENI.metadata.name)
      return undefined
    }
    const nodes = this.#nodesOf(nodeENI)
    this.#forgetOthers(nodes, nodeENI)
    return nodes.flatMap((node) => {
      const place = { nodeName: node.name, instanceID: node.instanceID }
      if ((this.#parts.inventory.instance(node.instanceID)?.state ?? 'running') !== 'running') return []
      const missing = notThere(nodeENI, node, network, this.#existing(place, nodeENI))
      const key = restKey(node.name, nodeENI)
      if (missing === 0) this.#failed.delete(key)
      const why = this.#failed.get(key)?.why ?? this.#refusal(node.instanceID, nodeENI)
      return missing === 0 ? [] : [{ nodeName: node.name, missing, why }]
    })
  }

  /** Nodes that have gone, and what was tried before an edit. */
  #forgetOthers(nodes: readonly NodeFacts[], nodeENI: NodeENI): void {
    const keys = new Set(nodes.map(({ name }) => restKey(name, nodeENI)))
    for (const key of this.#failed.keys())
      if (isOf(nodeENI.metadata.name, key) && !keys.has(key)) this.#failed.delete(key)
  }

  #refusal(instanceID: string, nodeENI: NodeENI): string | undefined {
    const { inventory, refusals } = this.#parts
    const reason = refusals.reasonAgainst(instanceID, nodeENI)
    if (reason !== undefined) return `its ENIs cannot be used there: ${reason}`
    const isUnknown = inventory.isLookedUp(instanceID) && inventory.instance(instanceID) === undefined
    return isUnknown ? `EC2 knows no instance ${instanceID}` : undefined
  }

  #nodesOf(nodeENI: NodeENI): (NodeFacts & Pick<Place, 'instanceID'>)[] {
    if (!wantsAny(nodeENI)) return []
    return [...this.#parts.nodes.values()].flatMap((node) => {
      const { instanceID } = node
      return instanceID !== undefined && selectsNode(nodeENI.spec, node.labels) ? [{ ...node, instanceID }] : []
    })
  }

  #existing(place: Place, { metadata }: NodeENI) {
    return this.#parts.store.onInstance(place).filter(({ spec }) => spec.nodeENI === metadata.name)
  }

  async #create(name: string, nodeENI: NodeENI, place: Place): Promise<void> {
    const { dpdkResourceName: resourceName } = nodeENI.spec
    const spec: AttachmentSpec = {
      nodeENI: nodeENI.metadata.name,
      ...place,
      ...(resourceName !== undefined && { resourceName }),
    }
    const body = newAttachment(name, spec)
    await createAttachment(this.#parts.cluster, body, attacherManager).catch((error: unknown) => {
      // It exists already: our cache was behind.
      if (!isConflict(error)) throw error
    })
  }

  #isResting(place: Place, nodeENI: NodeENI, network: Network): boolean {
    const { placement, clock } = this.#parts
    const failed = this.#failed.get(restKey(place.nodeName, nodeENI))
    if (failed === undefined) return false
    return failed.untilMs > clock.now() || !placement.mayHaveRoom(place, nodeENI, network)
  }
}

function wantsAny({ spec }: NodeENI): boolean {
  return attachPolicyOf(spec) === 'Eager' || spec.warm > 0
}

/** A change of the NodeENI ends the rest. */
function restKey(nodeName: string, { metadata }: NodeENI): string {
  return [metadata.name, metadata.uid, metadata.generation, nodeName].join('/')
}

function isOf(nodeENIName: string, key: string): boolean {
  return key.startsWith(`${nodeENIName}/`)
}
