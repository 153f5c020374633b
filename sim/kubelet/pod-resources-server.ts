// The PodResources service over the stand-in's account of devices.
import { status, type sendUnaryData, type ServiceError, type UntypedServiceImplementation } from '@grpc/grpc-js'

import type { AllocatableResourcesResponse } from '../../src/device-plugin/gen/v1/AllocatableResourcesResponse.ts'
import type { ContainerDevices } from '../../src/device-plugin/gen/v1/ContainerDevices.ts'
import type { GetPodResourcesResponse } from '../../src/device-plugin/gen/v1/GetPodResourcesResponse.ts'
import type { ListPodResourcesResponse } from '../../src/device-plugin/gen/v1/ListPodResourcesResponse.ts'
import type { PodResources } from '../../src/device-plugin/gen/v1/PodResources.ts'
import type { PodResourcesListerHandlers } from '../../src/device-plugin/gen/v1/PodResourcesLister.ts'
import type { HeldDevices, ListedDevice, Pod } from './device-manager.ts'

export interface PodResourcesSource {
  /** Every call fails so. */
  failure(): Partial<ServiceError> | null
  /** Counts the call against the server's limit. */
  allows(): boolean
  /** List waits for this. */
  listAfter(): Promise<void>
  /** UpdateAllocatedDevices. */
  collectEnded(): void
  /** With or without devices. */
  activePods(): readonly Pod[]
  /** List is answered with these. */
  listed(pods: readonly Pod[]): void
  held(): readonly HeldDevices[]
  healthy(): readonly { readonly resource: string; readonly device: ListedDevice }[]
}

/** Why a call is refused before it is looked at. */
function refusalOf(source: PodResourcesSource): Partial<ServiceError> | null {
  return source.failure() ?? (source.allows() ? null : limitExceeded())
}

export function podResourcesService(
  source: PodResourcesSource,
): UntypedServiceImplementation & PodResourcesListerHandlers {
  return {
    List(_call, answer: sendUnaryData<ListPodResourcesResponse>) {
      const refusal = refusalOf(source)
      if (refusal !== null) return answer(refusal)
      void source.listAfter().then(() => {
        const pods = source.activePods()
        source.collectEnded()
        answer(null, { podResources: pods.map((pod) => podResources(pod, source.held())) })
        source.listed(pods)
      })
    },
    // Unlike List it collects no ended pods (server_v1.go).
    Get({ request }, answer: sendUnaryData<GetPodResourcesResponse>) {
      const refusal = refusalOf(source)
      if (refusal !== null) return answer(refusal)
      const { podNamespace, podName } = request
      const pod = source.activePods().find(({ namespace, name }) => namespace === podNamespace && name === podName)
      if (pod === undefined) {
        return answer(failure(status.UNKNOWN, `pod ${podName} in namespace ${podNamespace} not found`))
      }
      answer(null, { podResources: podResources(pod, source.held()) })
    },
    GetAllocatableResources(_call, answer: sendUnaryData<AllocatableResourcesResponse>) {
      const refusal = refusalOf(source)
      if (refusal !== null) return answer(refusal)
      answer(null, { devices: source.healthy().map(({ resource, device }) => containerDevices(resource, device)) })
    },
  }
}

/** The answer has no pod UID; one entry per device (pkg/kubelet/apis/podresources/server_v1.go). */
function podResources(pod: Pod, held: readonly HeldDevices[]): PodResources {
  // Init containers that have run to their end are left out (server_v1.go).
  const ofPod = held.filter((entry) => entry.pod.uid === pod.uid && entry.container.kind !== 'init')
  return {
    name: pod.name,
    namespace: pod.namespace,
    containers: ofPod.map(({ container, resource, devices }) => ({
      name: container.name,
      devices: devices.map((device) => containerDevices(resource, device)),
    })),
  }
}

function containerDevices(resourceName: string, { id, numaNodes }: ListedDevice): ContainerDevices {
  const nodes = numaNodes.map((ID) => ({ ID }))
  return { resourceName, deviceIds: [id], topology: nodes.length > 0 ? { nodes } : null }
}

function limitExceeded(): Partial<ServiceError> {
  return failure(status.RESOURCE_EXHAUSTED, 'rejected by rate limit')
}

function failure(code: status, details: string): Partial<ServiceError> {
  return { code, details }
}
