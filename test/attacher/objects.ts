// ENIAttachments, NodeENIs and nodes as plain data, for the tests of pure decisions.
import { type ENIAttachment, newAttachment, eniAttachmentSchema } from '../../src/api/eni-attachment.ts'
import { type NodeENI, nodeENISchema, type NodeENISpec } from '../../src/api/node-eni.ts'
import type { SlotPolicy } from '../../src/attacher/slot-map.ts'
import type { NodeFacts } from '../../src/kube/objects.ts'

import { resource } from './attacher-world.ts'

/** Nothing is kept for others. */
export const allForUs: SlotPolicy = { cniSlots: 0, volumes: 0, jitCards: 'zero-first' }

type Changes = Partial<Pick<ENIAttachment, 'spec' | 'status'>> & { readonly deletionTimestamp?: string }

export function attachmentOf(name: string, { spec, status, deletionTimestamp }: Changes = {}): ENIAttachment {
  const node = { nodeENI: 'upf', nodeName: 'a1', instanceID: 'i-a1', resourceName: resource }
  const object = newAttachment(name, { ...node, ...spec }) as { metadata: object }
  const metadata = { ...object.metadata, uid: `uid-${name}`, resourceVersion: '1', deletionTimestamp }
  return eniAttachmentSchema.parse({ ...object, metadata, status })
}

export function nodeENIOf(name: string, spec: Partial<NodeENISpec> = {}, createdAt = 0, generation = 1): NodeENI {
  const creationTimestamp = new Date(createdAt).toISOString()
  return nodeENISchema.parse({
    apiVersion: 'networking.k8s.aws/v1alpha1',
    kind: 'NodeENI',
    metadata: { name, uid: `uid-${name}`, resourceVersion: '1', creationTimestamp, generation },
    spec: { nodeSelector: {}, subnetIDs: ['subnet-a1'], securityGroupIDs: ['sg-upf'], ...spec },
  })
}

export function nodeOf(name: string, zone = 'eu-north-1a'): NodeFacts {
  const known = {
    labels: {},
    bootID: 'boot-1',
    addresses: [],
    capacity: undefined,
    terminating: false,
    closedBy: [],
    registered: new Set<string>(),
  }
  return { name, zone, instanceID: `i-${name}`, ...known }
}
