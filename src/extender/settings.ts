// The extender's settings, from its environment.
import { z } from 'zod'

import { listenAddress, logLevel, readSettings, resourceList } from '../process/settings.ts'

const schema = z
  .object({
    /** The managed resources; the same list as managedResources in the KubeSchedulerConfiguration. */
    JIT_ENI_RESOURCES: resourceList,
    /** The verbs: whoever reaches them may bind pods. */
    JIT_ENI_LISTEN: listenAddress.prefault('127.0.0.1:8888'),
    /** /metrics, /healthz and /readyz. */
    JIT_ENI_STATUS_LISTEN: listenAddress.optional(),
    KUBECONFIG: z.string().min(1).optional(),
    LOG_LEVEL: logLevel,
  })
  .transform((env) => ({
    resources: env.JIT_ENI_RESOURCES,
    listen: env.JIT_ENI_LISTEN,
    statusListen: env.JIT_ENI_STATUS_LISTEN,
    kubeconfig: env.KUBECONFIG,
  }))

export type ExtenderSettings = z.output<typeof schema>

export function extenderSettings(env: Readonly<Record<string, string | undefined>>): ExtenderSettings {
  return readSettings(schema, env)
}
