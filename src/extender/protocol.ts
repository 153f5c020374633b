// kube-scheduler's extender protocol (k8s.io/kube-scheduler/extender/v1). Its Go structs have no JSON tags: keys are capitalised,
// unset pointers, maps and slices arrive as null. The pod inside has ordinary camelCase keys.
import { z } from 'zod'

const quantitiesSchema = z.record(z.string(), z.string()).nullish()
const containerSchema = z.object({
  restartPolicy: z.string().nullish(),
  resources: z.object({ limits: quantitiesSchema, requests: quantitiesSchema }).nullish(),
})

/** The API server allows no longer ones, nor a longer UID; some are remembered for minutes. */
const nameText = z.string().min(1).max(253)

/** What is read of a Pod. */
const podSchema = z.object({
  metadata: z.object({ name: nameText, namespace: nameText, uid: nameText }),
  spec: z.object({ containers: z.array(containerSchema), initContainers: z.array(containerSchema).nullish() }),
})

/** Body of filter and prioritize. A request carries thousands of names, so they are checked without zod's detail. */
export const extenderArgsSchema = z.object({
  Pod: podSchema,
  NodeNames: z.custom<string[]>(
    // No node is called __proto__, and as the key of an answer it would be lost.
    (value) => Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== '__proto__'),
    'expected a list of node names: set nodeCacheCapable: true for this extender',
  ),
})
export type RequestPod = z.output<typeof podSchema>

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
  PodName: nameText,
  PodNamespace: nameText,
  PodUID: nameText,
  Node: nameText,
})
export type BindingArgs = z.output<typeof bindingArgsSchema>

const metaVictimsSchema = z.object({
  Pods: z.array(z.object({ UID: z.string() })).nullable(),
  NumPDBViolations: z.number(),
})

/** With nodeCacheCapable, victims come by UID only. */
export const preemptionArgsSchema = z.object({
  Pod: podSchema,
  NodeNameToMetaVictims: z.record(z.string(), metaVictimsSchema, {
    error: 'expected victims by UID: set nodeCacheCapable: true for this extender',
  }),
})
export type PreemptionArgs = z.output<typeof preemptionArgsSchema>

export interface PreemptionResult {
  readonly NodeNameToMetaVictims: Readonly<Record<string, z.output<typeof metaVictimsSchema>>>
}
