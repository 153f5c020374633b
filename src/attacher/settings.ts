// The attacher's settings, from its environment. Region, credentials and endpoint of EC2 are the SDK's own variables.
import { hostname } from 'node:os'
import { randomUUID } from 'node:crypto'
import { z } from 'zod'

import { schedulerName } from '../api/names.ts'
import { listenAddress, logLevel, readSettings, resourceList } from '../process/settings.ts'

const schema = z
  .object({
    JIT_ENI_RESOURCES: resourceList,
    /** Names this cluster in EC2 tags: two clusters in one account must not share it. */
    JIT_ENI_CLUSTER: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/),
    JIT_ENI_SCHEDULER_NAME: z.string().min(1).default(schedulerName),
    JIT_ENI_NAMESPACE: z.string().min(1).default('jit-eni'),
    JIT_ENI_CONCURRENCY: z.coerce.number().int().min(1).max(1000).default(50),
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
    concurrency: env.JIT_ENI_CONCURRENCY,
    statusListen: env.JIT_ENI_STATUS_LISTEN,
    identity: `${env.POD_NAME ?? hostname()}_${randomUUID()}`,
    kubeconfig: env.KUBECONFIG,
  }))

export type AttacherSettings = z.output<typeof schema>

export function attacherSettings(env: Readonly<Record<string, string | undefined>>): AttacherSettings {
  return readSettings(schema, env)
}
