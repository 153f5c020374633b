// kube-scheduler's extender protocol (k8s.io/kube-scheduler/extender/v1). Its Go structs have no JSON tags: keys are capitalised,
// unset pointers, maps and slices arrive as null. The pod inside has ordinary camelCase keys and is not validated again.
import type { V1Pod } from '@kubernetes/client-node'
import { z } from 'zod'

const podSchema = z.custom<V1Pod>(
  (value) => typeof value === 'object' && value !== null && 'metadata' in value && 'spec' in value,
  'expected a Pod with metadata and spec',
)

/** Body of filter and prioritize. Names are not validated one by one: a request carries thousands of them. */
export const extenderArgsSchema = z.object({
  Pod: podSchema,
  NodeNames: z.custom<string[]>(
    Array.isArray,
    'expected a list of node names: set nodeCacheCapable: true for this extender',
  ),
})
export type ExtenderArgs = z.output<typeof extenderArgsSchema>

export interface FilterResult {
  readonly NodeNames: readonly string[]
  readonly FailedAndUnresolvableNodes: Readonly<Record<string, string>>
  readonly Error: string
}

/** Score is from 0 to 10 and must be whole: a fraction makes kube-scheduler drop all scores. */
export interface HostPriority {
  readonly Host: string
  readonly Score: number
}

export const bindingArgsSchema = z.object({
  PodName: z.string().min(1),
  PodNamespace: z.string().min(1),
  PodUID: z.string().min(1),
  Node: z.string().min(1),
})
export type BindingArgs = z.output<typeof bindingArgsSchema>

const metaVictimsSchema = z.object({
  Pods: z.array(z.object({ UID: z.string() })).nullable(),
  NumPDBViolations: z.number(),
})

/** With nodeCacheCapable, victims come by UID only. */
export const preemptionArgsSchema = z.object({
  Pod: podSchema,
  NodeNameToMetaVictims: z.record(z.string(), metaVictimsSchema).nullable(),
})
export type PreemptionArgs = z.output<typeof preemptionArgsSchema>

export interface PreemptionResult {
  readonly NodeNameToMetaVictims: Readonly<Record<string, z.output<typeof metaVictimsSchema>>>
}
