// The kinds of object that the fake API server keeps, and what it needs to know of each.
import { eniAttachmentSchema } from '../../src/api/eni-attachment.ts'
import { apiVersion as ours, group, version } from '../../src/api/names.ts'
import { nodeENISchema } from '../../src/api/node-eni.ts'

export interface Meta {
  name: string
  namespace?: string
  generateName?: string
  uid: string
  resourceVersion: string
  generation?: number
  creationTimestamp?: string
  deletionTimestamp?: string
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
  readonly namespaced: boolean
  /** What the CRD's schema says against the object; undefined when nothing. */
  readonly invalid?: (object: KubeObject) => string | undefined
  /** Spec fields that may not change. */
  readonly immutable?: readonly string[]
}

const core = (plural: string, kind: string, namespaced: boolean): Resource => ({
  path: `/api/v1/${plural}`,
  apiVersion: 'v1',
  kind,
  namespaced,
})

export const resources = {
  pods: core('pods', 'Pod', true),
  nodes: core('nodes', 'Node', false),
  events: core('events', 'Event', true),
  leases: {
    path: '/apis/coordination.k8s.io/v1/leases',
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    namespaced: true,
  },
  nodeenis: {
    path: `/apis/${group}/${version}/nodeenis`,
    apiVersion: ours,
    kind: 'NodeENI',
    namespaced: false,
    invalid: (object) => nodeENISchema.safeParse(object).error?.message,
  },
  eniattachments: {
    path: `/apis/${group}/${version}/eniattachments`,
    apiVersion: ours,
    kind: 'ENIAttachment',
    namespaced: false,
    invalid: (object) => eniAttachmentSchema.safeParse(object).error?.message,
    immutable: ['nodeENI', 'nodeName', 'instanceID', 'resourceName'],
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
