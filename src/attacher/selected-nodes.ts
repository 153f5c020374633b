// What a NodeENI's nodes, their instances and the other NodeENIs mean for it. Each of its ENIs asks at every survey, thousands at
// once, so it is worked out once, and again only after one of them has changed.
import { type NodeENI, selectsNode } from '../api/node-eni.ts'
import type { Informer } from '../kube/informer.ts'
import type { NodeFacts } from '../kube/objects.ts'
import type { Instance } from './ec2.ts'
import { type Inventory, vpcIDsOf } from './inventory.ts'
import type { Problem } from './node-eni-conditions.ts'
import { indexProblem, vpcProblem } from './node-eni-problem.ts'
import { conflictOf } from './resource-conflict.ts'

export interface Selection {
  /** Why it must not serve its resource. */
  readonly conflict: string | undefined
  /** Where its subnets and security groups are looked up; undefined while its instances are not known. */
  readonly vpc: string | Problem | undefined
  readonly zones: ReadonlySet<string>
  readonly indexProblem: Problem | undefined
}

export interface SelectedNodesParts {
  readonly nodes: Pick<Informer<NodeFacts>, 'values' | 'onChange'>
  readonly nodeENIs: Pick<Informer<NodeENI>, 'values' | 'onChange'>
  readonly inventory: Inventory
}

export class SelectedNodes {
  readonly #parts: SelectedNodesParts
  readonly #known = new Map<string, Selection>()

  constructor(parts: SelectedNodesParts) {
    this.#parts = parts
    const forget = () => this.#known.clear()
    parts.inventory.onChange(forget)
    parts.nodes.onChange((_name, after, before) => {
      if (JSON.stringify(relevant(after)) !== JSON.stringify(relevant(before))) forget()
    })
    parts.nodeENIs.onChange((_name, after, before) => {
      if (editionOf(after) !== editionOf(before)) forget()
    })
  }

  of(nodeENI: NodeENI): Selection {
    const edition = editionOf(nodeENI)
    const known = this.#known.get(edition) ?? this.#look(nodeENI)
    this.#known.set(edition, known)
    return known
  }

  #look(nodeENI: NodeENI): Selection {
    const { nodes, nodeENIs, inventory } = this.#parts
    const { spec } = nodeENI
    const matching = [...nodes.values()].filter(({ labels }) => selectsNode(spec, labels))
    const instances = matching.flatMap(({ instanceID = '' }) => inventory.instance(instanceID) ?? [])
    const types = new Set(instances.flatMap((instance) => inventory.typeOf(instance) ?? []))
    return {
      conflict: conflictOf(nodeENI, [...nodeENIs.values()]),
      vpc: this.#vpcOf(matching, instances),
      zones: new Set(matching.flatMap(({ zone }) => zone ?? [])),
      indexProblem: indexProblem(spec, [...types]),
    }
  }

  /** That of its nodes; without any, that in which all others are. */
  #vpcOf(matching: readonly NodeFacts[], instances: readonly Instance[]): string | Problem | undefined {
    const { inventory } = this.#parts
    const several = vpcProblem(instances)
    if (several !== undefined) return several
    const [own] = vpcIDsOf(instances)
    const isUnknown = ({ instanceID }: NodeFacts) => instanceID !== undefined && !inventory.isLookedUp(instanceID)
    if (own === undefined && matching.some(isUnknown)) return undefined
    const [others, ...more] = inventory.vpcIDs()
    const vpcID = own ?? (more.length === 0 ? others : undefined)
    const message =
      'no node with an EC2 instance matches a NodeENI: see its nodeSelector and the spec.providerID of the nodes'
    return vpcID ?? { reason: 'NoInstances', message }
  }
}

function relevant(node: NodeFacts | undefined) {
  return node && [node.instanceID, node.labels, node.zone]
}

/** Our own writes of its status change nothing. */
function editionOf(nodeENI: NodeENI | undefined): string {
  return nodeENI === undefined ? '' : `${nodeENI.metadata.uid}/${nodeENI.metadata.generation}`
}
