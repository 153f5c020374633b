// The parts of Kubernetes metadata and conditions that our programs read.
import { z } from 'zod'

/** Only what is read; the API server validates metadata itself, so the CRD leaves it out. */
export const metadataSchema = z.object({
  name: z.string(),
  uid: z.string(),
  resourceVersion: z.string(),
  generation: z.number().optional(),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  finalizers: z.array(z.string()).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
})

/** metav1.Condition. */
export const conditionSchema = z.object({
  type: z.string().max(316),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string().max(1024),
  message: z.string().max(32768),
  lastTransitionTime: z.iso.datetime({ offset: true }).meta({ format: 'date-time' }),
  observedGeneration: z.int32().min(0).optional(),
})

export type Condition = z.output<typeof conditionSchema>
