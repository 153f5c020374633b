// The kinds of object that the API double keeps, and what it needs to know of each.
import type { ZodType } from 'zod'

import { attachmentSpecSchema, attachmentStatusSchema } from '../../src/api/eni-attachment.ts'
import { apiVersion as ours, group, version } from '../../src/api/names.ts'
import { nodeENISpecSchema, nodeENIStatusSchema } from '../../src/api/node-eni.ts'

import { attachmentRules, brokenRule, nodeENIRules, type Rules } from './cel-rules.ts'
import type { JsonObject } from './json.ts'
import { invalid } from './refusal.ts'

export interface Meta {
  name: string
  namespace?: string
  generateName?: string
  uid: string
  resourceVersion: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  finalizers?: string[]
  labels?: Record<string, string>
  annotations?: Record<string, string>
}

/** Any object, as JSON. */
export interface KubeObject {
  apiVersion: string
  kind: string
  metadata: Meta
  [field: string]: unknown
}

export interface Resource {
  readonly path: string
  readonly apiVersion: string
  readonly kind: string
  /** Fields for field selectors, beside metadata.name and metadata.namespace. */
  readonly selectable?: readonly string[]
  /** Pods have one too, but nothing here looks at it. */
  readonly hasGeneration?: boolean
  /** What is done to `status` when an object is written without the subresource. */
  readonly status: 'is dropped' | 'is kept on create' | 'is a field like others'
  /** Whether a PUT has to say which version it replaces. */
  readonly needsVersion?: boolean
  /** The object with defaults and without what its schema does not know. @throws Refusal 422 */
  readonly checked?: (after: KubeObject, before: KubeObject | undefined) => KubeObject
}

const core = (plural: string, kind: string) => ({ path: `/api/v1/${plural}`, apiVersion: 'v1', kind })

const custom = (plural: string, kind: string, schemas: Schemas, rules: Rules) => ({
  path: `/apis/${group}/${version}/${plural}`,
  apiVersion: ours,
  kind,
  hasGeneration: true,
  status: 'is dropped' as const,
  needsVersion: true,
  checked({ apiVersion, metadata, ...after }: KubeObject, before: KubeObject | undefined): KubeObject {
    const spec = parsed(schemas.spec, after['spec'], before?.['spec'], `${kind} ${metadata.name}: spec`)
    const status = parsed(schemas.status, after['status'], before?.['status'], `${kind} ${metadata.name}: status`)
    const broken = brokenRule(rules, spec as JsonObject, before?.['spec'] as JsonObject | undefined)
    if (broken !== undefined) throw invalid(`${kind} ${metadata.name}: ${broken}`)
    return { apiVersion, kind, metadata, spec, ...(status !== undefined && { status }) }
  },
})

interface Schemas {
  readonly spec: ZodType
  readonly status: ZodType
}

/** What is there already has been looked at. */
function parsed(schema: ZodType, after: unknown, before: unknown, what: string): unknown {
  if (after === before && before !== undefined) return before
  const result = schema.safeParse(after)
  if (!result.success) throw invalid(`${what}: ${result.error.message}`)
  return result.data
}

export const resources = {
  pods: {
    ...core('pods', 'Pod'),
    status: 'is dropped',
    selectable: ['spec.nodeName', 'spec.schedulerName', 'status.phase'],
  },
  nodes: {
    ...core('nodes', 'Node'),
    status: 'is kept on create',
    selectable: ['spec.unschedulable'],
  },
  events: {
    ...core('events', 'Event'),
    status: 'is a field like others',
    selectable: ['involvedObject.kind', 'involvedObject.name', 'involvedObject.namespace', 'reason', 'type'],
  },
  leases: {
    path: '/apis/coordination.k8s.io/v1/leases',
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    status: 'is a field like others',
    needsVersion: true,
  },
  nodeenis: custom(
    'nodeenis',
    'NodeENI',
    { spec: nodeENISpecSchema, status: nodeENIStatusSchema.optional() },
    nodeENIRules,
  ),
  eniattachments: {
    ...custom(
      'eniattachments',
      'ENIAttachment',
      { spec: attachmentSpecSchema, status: attachmentStatusSchema.optional() },
      attachmentRules,
    ),
    selectable: ['spec.nodeName', 'spec.nodeENI'],
  },
} as const satisfies Record<string, Resource>

export type ResourceName = keyof typeof resources

/** A REST path taken apart: which resource, which object of it, which part of that. */
export interface Target {
  readonly resource: ResourceName
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly subresource: string | undefined
}

export function targetOf(path: string): Target | undefined {
  const match =
    /^(?<base>\/api\/v1|\/apis\/[^/]+\/[^/]+)(\/namespaces\/(?<namespace>[^/]+))?\/(?<plural>[a-z]+)(\/(?<name>[^/]+)(\/(?<subresource>[a-z]+))?)?$/.exec(
      path,
    )
  const { base, namespace, plural, name, subresource } = match?.groups ?? {}
  const found = Object.entries(resources).find(([, resource]) => resource.path === `${base}/${plural}`)
  if (found === undefined) return undefined
  return {
    resource: found[0] as ResourceName,
    namespace: namespace && decodeURIComponent(namespace),
    name: name && decodeURIComponent(name),
    subresource,
  }
}

/** `name`, or `namespace/name`. */
export function keyOf({ name, namespace }: { readonly name: string; readonly namespace?: string | undefined }): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}
