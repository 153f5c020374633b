// What a kubelet of the fleet keeps of a pod.
import type { V1Pod } from '@kubernetes/client-node'
import { type Demand, podDemand } from '../../src/api/pod-demand.ts'

export interface FleetPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly nodeName: string | undefined
  readonly phase: string
  readonly isDeleting: boolean
  /** Of managed resources. */
  readonly demand: Demand
  readonly containers: readonly string[]
}

export const fleetPodParser =
  (managed: ReadonlySet<string>) =>
  (raw: unknown): FleetPod => {
    const pod = raw as V1Pod
    return {
      namespace: pod.metadata?.namespace ?? '',
      name: pod.metadata?.name ?? '',
      uid: pod.metadata?.uid ?? '',
      nodeName: pod.spec?.nodeName,
      phase: pod.status?.phase ?? 'Pending',
      isDeleting: pod.metadata?.deletionTimestamp !== undefined,
      demand: podDemand(pod, managed),
      containers: (pod.spec?.containers ?? []).map(({ name }) => name),
    }
  }

export function hasEnded({ phase }: FleetPod): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}
