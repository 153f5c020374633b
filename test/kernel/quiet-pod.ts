// A pod with an ENI that runs and does nothing with it.
import { upfPod } from '../cluster/upf-manifests.ts'

export interface QuietPod {
  readonly capabilities?: readonly string[]
  readonly node?: string
  readonly prefers?: string
}

/** In namespace default. */
export function quietPod(name: string, { capabilities = [], node, prefers }: QuietPod): object {
  const pod = upfPod(name) as { readonly spec: { readonly containers: readonly object[] } }
  const [container] = pod.spec.containers
  const securityContext = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'], add: capabilities } }
  const matchExpressions = [{ key: 'kubernetes.io/hostname', operator: 'In', values: [prefers] }]
  const preferredDuringSchedulingIgnoredDuringExecution = [{ weight: 100, preference: { matchExpressions } }]
  return upfPod(name, 1, {
    containers: [{ ...container, securityContext }],
    ...(node !== undefined && { nodeSelector: { 'kubernetes.io/hostname': node } }),
    ...(prefers !== undefined && {
      affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution } },
    }),
  })
}
