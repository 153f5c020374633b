// What the cluster wants of this node: its own ENIAttachments, their NodeENIs, and the resources to register.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import { type NodeENI, selectsNode } from '../api/node-eni.ts'
import type { NodeFacts } from '../kube/objects.ts'

export interface NodeDemand {
  /** For this instance; an object for an earlier instance of the same node name is none of ours. */
  readonly attachments: readonly ENIAttachment[]
  readonly nodeENIs: ReadonlyMap<string, NodeENI>
  readonly resources: ReadonlySet<string>
}

export interface ClusterState {
  readonly node: NodeFacts | undefined
  readonly nodeENIs: Iterable<NodeENI>
  /** Those with our node's name. */
  readonly attachments: Iterable<ENIAttachment>
}

export function nodeDemand(state: ClusterState, managed: ReadonlySet<string>): NodeDemand {
  const { node } = state
  const nodeENIs = new Map(Array.from(state.nodeENIs, (nodeENI) => [nodeENI.metadata.name, nodeENI]))
  // Until the cloud provider has written the instance id, nothing says whose the attachments are.
  const attachments = [...state.attachments].filter(({ spec }) => spec.instanceID === node?.instanceID)
  const possible = [...nodeENIs.values()]
    .filter(({ spec }) => node !== undefined && selectsNode(spec, node.labels))
    .map(({ spec }) => spec.dpdkResourceName)
    .filter((name) => name !== undefined && managed.has(name))
  const resources = new Set([...possible, ...attachments.map(({ spec }) => spec.resourceName)])
  return { attachments, nodeENIs, resources: new Set([...resources].filter((name) => name !== undefined)) }
}
