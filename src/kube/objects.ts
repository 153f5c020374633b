// Parsers for Informer: from what the API server sends to what our programs keep, and nothing more.
import type { V1Node, V1NodeAddress, V1Pod } from '@kubernetes/client-node'
import { z, type ZodType } from 'zod'

import { eniAttachmentSchema } from '../api/eni-attachment.ts'
import { capacityAnnotation, closingTaints, cordonTaint, zoneLabel } from '../api/names.ts'
import { type NodeCapacity, parseNodeCapacity } from '../api/node-capacity.ts'
import { nodeENISchema } from '../api/node-eni.ts'
import { type Demand, podDemand } from '../api/pod-demand.ts'
import type { Log } from '../process/log.ts'
import { notOfInterest } from './informer.ts'

/** What is kept of a Node. */
export interface NodeFacts {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly zone: string | undefined
  /** EC2 instance id, the last part of spec.providerID (aws:///zone/i-...). */
  readonly instanceID: string | undefined
  /** Another after each start of the machine. */
  readonly bootID: string | undefined
  /** By which the kubelet is reached: InternalIP of status.addresses. */
  readonly addresses: readonly string[]
  readonly capacity: NodeCapacity | undefined
  /** It is being deleted. */
  readonly terminating: boolean
  /** Keys of the taints that keep new pods away for good: it is cordoned, or an autoscaler is about to remove it. */
  readonly closedBy: readonly string[]
  /** Resource names that a device plugin has registered with the kubelet at least once. */
  readonly registered: ReadonlySet<string>
}

export function parseNode(raw: unknown): NodeFacts {
  const { metadata, spec, status } = raw as V1Node
  const labels = metadata?.labels ?? {}
  const instance = spec?.providerID?.split('/').at(-1)
  return {
    name: metadata?.name ?? '',
    labels,
    zone: labels[zoneLabel],
    instanceID: instance !== undefined && /^i-[0-9a-z]+$/.test(instance) ? instance : undefined,
    bootID: status?.nodeInfo?.bootID,
    addresses: internalAddresses(status?.addresses),
    capacity: parseNodeCapacity(metadata?.annotations?.[capacityAnnotation]),
    terminating: metadata?.deletionTimestamp !== undefined,
    closedBy: closingTaints.filter((key) => isClosedBy(key, spec)),
    registered: new Set(Object.keys(status?.capacity ?? {}).filter((name) => name.includes('/'))),
  }
}

/** A cordon is written into spec.unschedulable, and its taint may follow later (kube-controller-manager, node lifecycle). */
function isClosedBy(key: string, spec: V1Node['spec']): boolean {
  return (
    spec?.taints?.some((taint) => taint.key === key) === true || (key === cordonTaint && spec?.unschedulable === true)
  )
}

/** A node has one, or one of each family. */
const addressesMax = 8

function internalAddresses(all: readonly V1NodeAddress[] = []): readonly string[] {
  const internal = all.filter(({ type }) => type === 'InternalIP')
  return internal.slice(0, addressesMax).map(({ address }) => address)
}

/** What is kept of a Pod. */
export interface PodFacts {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly nodeName: string | undefined
  /** Succeeded or Failed: it holds nothing any more. */
  readonly ended: boolean
  /** The kubelet did not admit it, for want of a device or another resource. */
  readonly rejection: { readonly reason: string; readonly message: string } | undefined
}

export function parsePod(raw: unknown): PodFacts {
  const { metadata, spec, status } = raw as V1Pod
  return {
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    nodeName: spec?.nodeName,
    ended: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    rejection: rejectionOf(status),
  }
}

/** Reasons: pkg/kubelet/lifecycle/predicate.go; the kubelet writes them with phase Failed, and never tries the pod again. */
function rejectionOf(status: V1Pod['status']): PodFacts['rejection'] {
  const { phase, reason = '', message = '' } = status ?? {}
  if (phase !== 'Failed' || !(reason === 'UnexpectedAdmissionError' || reason.startsWith('OutOf'))) return undefined
  return { reason, message }
}

/** What is kept of a Pod that asks for managed devices. */
export interface DemandingPod extends Pick<PodFacts, 'namespace' | 'name' | 'uid' | 'nodeName'> {
  readonly demand: Demand
}

/** Of the pods of a cluster few ask for devices. */
export function demandingPodParser(managed: ReadonlySet<string>) {
  return (raw: unknown): DemandingPod | typeof notOfInterest => {
    const demand = podDemand(raw as V1Pod, managed)
    if ([...demand.values()].every((count) => count === 0)) return notOfInterest
    const { namespace, name, uid, nodeName } = parsePod(raw)
    return { namespace, name, uid, nodeName, demand }
  }
}

/** What can be said of an ENIAttachment that is not what its CRD says: that it is there, and where. */
const unreadableAttachmentSchema = z
  .object({
    metadata: z.object({ name: z.string(), uid: z.string(), resourceVersion: z.string() }),
    spec: z
      .object({
        nodeName: z.string().optional().catch(undefined),
        instanceID: z.string().optional().catch(undefined),
        nodeENI: z.string().optional().catch(undefined),
      })
      .catch({}),
  })
  .transform(({ metadata, spec }) => ({ metadata, place: spec }))

export type UnreadableAttachment = z.output<typeof unreadableAttachmentSchema>

export function parseUnreadableAttachment(raw: unknown): UnreadableAttachment {
  return unreadableAttachmentSchema.parse(raw)
}

/** An object that is not what its CRD says is left out, with a line that names it. */
function parserFor<T>(schema: ZodType<T>, log: Log): (raw: unknown) => T | undefined {
  return (raw) => {
    const parsed = schema.safeParse(raw)
    if (parsed.success) return parsed.data
    const { metadata } = raw as { metadata?: { name?: string } }
    log.error({ object: metadata?.name, issues: parsed.error.issues }, 'object ignored: it is not what its CRD says')
    return undefined
  }
}

export const nodeENIParser = (log: Log) => parserFor(nodeENISchema, log)
export const attachmentParser = (log: Log) => parserFor(eniAttachmentSchema, log)
