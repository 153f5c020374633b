// Nodes, NodeENIs and ENIAttachments as the ledger keeps them: ordinary ones, of which a test changes what it is about.
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { RefusedNodeENI } from '../../src/api/node-capacity.ts'
import { type NodeENI, nodeENISchema } from '../../src/api/node-eni.ts'
import { Ledger } from '../../src/extender/ledger.ts'
import type { DemandingPod, NodeFacts } from '../../src/kube/objects.ts'

export const upf = 'intel.com/upf_dataplane'
export const n3 = 'intel.com/n3'
export const zoneA = 'eu-north-1a'

interface NodeParts {
  readonly slots?: number
  /** Attachments that the budget which volumes share leaves for ENIs of ours. */
  readonly shared?: number
  readonly refused?: RefusedNodeENI[]
}

/** A node in zone a with four slots, whose device plugin has registered both resources. */
export function node(name: string, more: Partial<NodeFacts> & NodeParts = {}): NodeFacts {
  const { slots = 4, shared, refused, ...facts } = more
  const instanceID = `i-${name}`
  return {
    name,
    labels: { ng: 'multi-eni' },
    zone: zoneA,
    instanceID,
    bootID: `boot-${name}`,
    addresses: [],
    capacity: {
      instanceID,
      cards: [{ index: 0, limit: slots + 1, foreign: 1 }],
      ...(shared !== undefined && { shared }),
      ...(refused && { refused }),
    },
    terminating: false,
    closedBy: [],
    registered: new Set([upf, n3]),
    ...facts,
  }
}

interface NodeENIParts {
  readonly spec?: object
  readonly ready?: boolean
  readonly deleting?: boolean
  readonly subnets?: readonly { readonly zone?: string; readonly exhausted?: boolean }[]
}

/** A NodeENI that serves `upf` in zone a, ready. */
export function nodeENI(
  name: string,
  { spec, ready = true, deleting = false, subnets = [{}] }: NodeENIParts = {},
): NodeENI {
  const lastTransitionTime = '2026-01-01T00:00:00Z'
  return nodeENISchema.parse({
    apiVersion: 'networking.k8s.aws/v1alpha1',
    kind: 'NodeENI',
    metadata: {
      name,
      uid: `uid-${name}`,
      resourceVersion: '1',
      generation: 3,
      ...(deleting && { deletionTimestamp: lastTransitionTime }),
    },
    spec: {
      nodeSelector: { ng: 'multi-eni' },
      subnetID: 'subnet-1',
      securityGroupIDs: ['sg-1'],
      enableDPDK: true,
      dpdkResourceName: upf,
      ...spec,
    },
    status: {
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', reason: 'R', message: '', lastTransitionTime }],
      subnets: subnets.map(({ zone = zoneA, exhausted = false }, n) => ({
        subnetID: `subnet-${n}`,
        availabilityZone: zone,
        cidr: '10.0.0.0/24',
        exhausted,
      })),
    },
  })
}

interface AttachmentParts {
  readonly node?: string
  readonly instanceID?: string
  readonly nodeENI?: string
  readonly resource?: string
  /** UID of the pod that has claimed it. */
  readonly claim?: string
  readonly version?: number
  readonly uid?: string
  readonly deleting?: boolean
  readonly status?: ENIAttachment['status']
}

/** An ENIAttachment of `upf` on node a: an intent, until its status says more. */
export function attachment(name: string, parts: AttachmentParts = {}): ENIAttachment {
  const nodeName = parts.node ?? 'a'
  return {
    apiVersion: 'networking.k8s.aws/v1alpha1',
    kind: 'ENIAttachment',
    metadata: {
      name,
      uid: parts.uid ?? `uid-${name}`,
      resourceVersion: String(parts.version ?? 1),
      ...(parts.deleting && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    spec: {
      nodeENI: parts.nodeENI ?? 'upf',
      nodeName,
      instanceID: parts.instanceID ?? `i-${nodeName}`,
      resourceName: parts.resource ?? upf,
      ...(parts.claim !== undefined && { claim: claimOf(parts.claim) }),
    },
    ...(parts.status && { status: parts.status }),
  }
}

/** A pod that asks for one device of `upf`, not bound unless a node is named. */
export function pod(
  name: string,
  {
    node: nodeName,
    uid = name,
    demand = 1,
  }: { readonly node?: string; readonly uid?: string; readonly demand?: number } = {},
): DemandingPod {
  return { namespace: 'cnf', name, uid, nodeName, demand: new Map([[upf, demand]]) }
}

export function claimOf(uid: string): { namespace: string; name: string; uid: string } {
  return { namespace: 'cnf', name: uid, uid }
}

/** An ENI that is attached and that the kubelet has free. */
export const advertised = {
  eni: { eniID: 'eni-1', subnetID: 'subnet-1', attached: true },
  device: { advertised: true, health: 'Healthy' },
} satisfies ENIAttachment['status']

export function terminal(message: string): { reason: string; message: string; terminal: true; time: string } {
  return { reason: 'Failed', message, terminal: true, time: '2026-01-01T00:00:00Z' }
}

/** A failure of which the device plugin makes another try. */
export function failing(message: string): Omit<ReturnType<typeof terminal>, 'terminal'> & { terminal: false } {
  return { ...terminal(message), terminal: false }
}

export interface World {
  readonly nodes?: readonly NodeFacts[]
  readonly nodeENIs?: readonly NodeENI[]
  readonly attachments?: readonly ENIAttachment[]
  readonly pods?: readonly DemandingPod[]
}

/** A ledger that has watched all this; with node a and NodeENI upf where nothing else is said. */
export function ledgerOf({
  nodes = [node('a')],
  nodeENIs = [nodeENI('upf')],
  attachments = [],
  pods = [],
}: World = {}): Ledger {
  const ledger = new Ledger()
  for (const one of nodes) ledger.setNode(one.name, one)
  for (const one of nodeENIs) ledger.setNodeENI(one.metadata.name, one)
  for (const one of attachments) ledger.setWatched(one.metadata.name, one)
  for (const one of pods) ledger.setPod(`${one.namespace}/${one.name}`, one)
  return ledger
}
