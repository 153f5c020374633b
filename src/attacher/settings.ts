// The attacher's settings, from its environment. Region, credentials and endpoint of EC2 are the SDK's own variables.
import { hostname } from 'node:os'
import { randomUUID } from 'node:crypto'
import { z } from 'zod'

import { schedulerName } from '../api/names.ts'
import { listenAddress, logLevel, readSettings, resourceList } from '../process/settings.ts'
import { type Ec2Action, ec2Actions } from './ec2-action.ts'
import type { BucketSize } from './ec2-limiter.ts'

const quotaPattern = /^(?<action>[A-Z][A-Za-z]{0,99})=(?<tokens>[1-9]\d{0,5})\/(?<perSecond>[1-9]\d{0,4})$/

/** `Action=tokens/perSecond`, with commas between them: only where the account's quotas differ from EC2's defaults. */
const quotaList = z
  .string()
  .default('')
  .transform((text) => text.split(',').map((item) => item.trim()))
  .transform((items) => items.filter((item) => item !== ''))
  .refine((items) => items.every((item) => quotaPattern.test(item)), {
    message: 'must be like AttachNetworkInterface=200/20,CreateNetworkInterface=400/20',
    abort: true,
  })
  .refine((items) => items.every((item) => quotaFrom(item).length > 0), {
    message: `must name actions that the attacher calls: ${ec2Actions.join(', ')}`,
  })
  .transform((items) => new Map(items.flatMap(quotaFrom)))

const schema = z
  .object({
    JIT_ENI_RESOURCES: resourceList,
    /** Names this cluster in EC2 tags: two clusters in one account must not share it. */
    JIT_ENI_CLUSTER: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/),
    JIT_ENI_SCHEDULER_NAME: z.string().min(1).default(schedulerName),
    JIT_ENI_NAMESPACE: z.string().min(1).default('jit-eni'),
    /** EC2 calls at the same time. */
    JIT_ENI_CONCURRENCY: z.coerce.number().int().min(1).max(1000).default(100),
    /** Of the account's bucket of each EC2 action, what the attacher uses at most; the rest is for all others. */
    JIT_ENI_EC2_SHARE: z.coerce.number().gt(0).max(1).default(0.8),
    JIT_ENI_EC2_QUOTAS: quotaList,
    /** Slots on network card 0 of each node that stay free for VPC CNI, besides the primary interface's. */
    JIT_ENI_CNI_SLOTS: z.coerce.number().int().min(0).max(64).default(0),
    /** EBS volumes on each node for which there stays room where ENIs and volumes share one budget. */
    JIT_ENI_VOLUMES: z.coerce.number().int().min(0).max(128).default(0),
    /** Network cards above 0 are VPC CNI's on no node. */
    JIT_ENI_JIT_CARDS: z.enum(['above-zero-first', 'zero-first']).default('above-zero-first'),
    /** `report` deletes no ENI that has lost its object, and says in the log which it would delete. */
    JIT_ENI_COLLECTION: z.enum(['delete', 'report']).default('delete'),
    JIT_ENI_STATUS_LISTEN: listenAddress.optional(),
    POD_NAME: z.string().min(1).optional(),
    KUBECONFIG: z.string().min(1).optional(),
    LOG_LEVEL: logLevel,
  })
  .transform((env) => ({
    resources: env.JIT_ENI_RESOURCES,
    clusterName: env.JIT_ENI_CLUSTER,
    schedulerName: env.JIT_ENI_SCHEDULER_NAME,
    namespace: env.JIT_ENI_NAMESPACE,
    ec2: { concurrency: env.JIT_ENI_CONCURRENCY, share: env.JIT_ENI_EC2_SHARE, quotas: env.JIT_ENI_EC2_QUOTAS },
    slots: { cniSlots: env.JIT_ENI_CNI_SLOTS, volumes: env.JIT_ENI_VOLUMES, jitCards: env.JIT_ENI_JIT_CARDS },
    collection: env.JIT_ENI_COLLECTION,
    statusListen: env.JIT_ENI_STATUS_LISTEN,
    identity: `${env.POD_NAME ?? hostname()}_${randomUUID()}`,
    kubeconfig: env.KUBECONFIG,
  }))

/** None for an action that is not called. */
function quotaFrom(item: string): [Ec2Action, BucketSize][] {
  const { action, tokens, perSecond } = quotaPattern.exec(item)?.groups ?? {}
  const size = { tokens: Number(tokens), perSecond: Number(perSecond) }
  return ec2Actions.filter((one) => one === action).map((one) => [one, size])
}

export type AttacherSettings = z.output<typeof schema>

export function attacherSettings(env: Readonly<Record<string, string | undefined>>): AttacherSettings {
  return readSettings(schema, env)
}
