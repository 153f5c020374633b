// The kubelet's PodResources API: which devices it can allocate, and which pod holds which.
import { credentials, type ServiceError, status } from '@grpc/grpc-js'

import type { AllocatableResourcesResponse__Output } from './gen/v1/AllocatableResourcesResponse.ts'
import type { ContainerDevices__Output } from './gen/v1/ContainerDevices.ts'
import type { GetPodResourcesResponse__Output } from './gen/v1/GetPodResourcesResponse.ts'
import type { ListPodResourcesResponse__Output } from './gen/v1/ListPodResourcesResponse.ts'
import type { PodResources__Output } from './gen/v1/PodResources.ts'
import type { PodResourcesListerClient } from './gen/v1/PodResourcesLister.ts'
import { podResourcesApi } from './kubelet-api.ts'
import { type DeviceKey, deviceKey, type Holder, type HolderList, podName } from './occupancy.ts'

export interface PodResources {
  /** Devices held by active pods. No List may run while an Allocate is open (allocate-gate.ts). */
  readonly holders: () => Promise<Omit<HolderList, 'startedAt'>>
  /** Healthy devices, held or not. */
  readonly allocatable: () => Promise<ReadonlySet<DeviceKey>>
  /** What this pod has of it. Collects no ended pods, so it is safe during an Allocate (server_v1.go, 1.36). */
  readonly holds: (holder: Holder, key: DeviceKey) => Promise<Holding>
  readonly close: () => void
}

/** The device; none of it (the pod is gone, or has other devices); or the pod is there without any device. */
export type Holding = 'device' | 'none' | 'bare'

/** The kubelet takes 100 calls a second from all its clients together (podresources/constants.go); ask again later. */
export class RateLimited extends Error {
  override readonly name = 'RateLimited'
}

/** As Multus: a node full of pods exceeds grpc-js's default of 4 MB. */
const receiveMaxBytes = 16 * 1024 * 1024
const defaultCallDeadlineMs = 5_000
/** Somebody waits in Allocate for this answer. */
const getDeadlineMs = 1_000

type Call<T> = (
  client: PodResourcesListerClient,
  options: { readonly deadline: number },
  answer: (error: ServiceError | null, value?: T) => void,
) => void

export class PodResourcesClient implements PodResources {
  readonly #socket: string
  readonly #callDeadlineMs: number
  #client: PodResourcesListerClient | undefined

  constructor(socket: string, callDeadlineMs = defaultCallDeadlineMs) {
    this.#socket = socket
    this.#callDeadlineMs = callDeadlineMs
  }

  async holders(): Promise<Omit<HolderList, 'startedAt'>> {
    const { podResources } = await this.#call<ListPodResourcesResponse__Output>(
      'List',
      this.#callDeadlineMs,
      (client, options, answer) => {
        client.List({}, options, answer)
      },
    )
    const holders = new Map<DeviceKey, Holder>()
    const bare = new Set<string>()
    for (const pod of podResources) {
      const holder = { namespace: pod.namespace, name: pod.name }
      const keys = keysOfPod(pod)
      if (keys.length === 0) bare.add(podName(holder))
      for (const key of keys) holders.set(key, holder)
    }
    return { holders, bare }
  }

  async allocatable(): Promise<ReadonlySet<DeviceKey>> {
    const { devices } = await this.#call<AllocatableResourcesResponse__Output>(
      'GetAllocatableResources',
      this.#callDeadlineMs,
      (client, options, answer) => {
        client.GetAllocatableResources({}, options, answer)
      },
    )
    return new Set(keysOf(devices))
  }

  async holds(holder: Holder, key: DeviceKey): Promise<Holding> {
    try {
      const { podResources } = await this.#call<GetPodResourcesResponse__Output>(
        'Get',
        getDeadlineMs,
        (client, options, answer) => {
          client.Get({ podNamespace: holder.namespace, podName: holder.name }, options, answer)
        },
      )
      const keys = podResources === null ? [] : keysOfPod(podResources)
      if (keys.includes(key)) return 'device'
      return keys.length === 0 ? 'bare' : 'none'
    } catch (error) {
      // The kubelet answers a plain fmt.Errorf, hence code UNKNOWN, for a pod that is gone (server_v1.go).
      if (isPodNotFound(error)) return 'none'
      throw error
    }
  }

  close(): void {
    this.#client?.close()
    this.#client = undefined
  }

  async #call<T>(name: string, deadlineMs: number, call: Call<T>): Promise<T> {
    this.#client ??= new podResourcesApi.PodResourcesLister(`unix://${this.#socket}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': receiveMaxBytes,
    })
    const client = this.#client
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    call(client, { deadline: Date.now() + deadlineMs }, (error, value) => {
      if (error === null && value !== undefined) return resolve(value)
      const message = `kubelet ${name} on ${this.#socket}: ${error?.details ?? 'no answer'}`
      reject(isRateLimit(error) ? new RateLimited(message, { cause: error }) : new Error(message, { cause: error }))
    })
    try {
      return await promise
    } catch (error) {
      if (!answered(error)) this.#drop(client)
      throw error
    }
  }

  /** An old channel waits out its backoff after the kubelet is back; a new one connects at once. */
  #drop(client: PodResourcesListerClient): void {
    if (this.#client === client) this.#client = undefined
    client.close()
  }
}

function keysOfPod({ containers }: PodResources__Output): DeviceKey[] {
  return containers.flatMap((container) => keysOf(container.devices))
}

function keysOf(devices: readonly ContainerDevices__Output[]): DeviceKey[] {
  return devices.flatMap(({ resourceName, deviceIds }) => deviceIds.map((id) => deviceKey(resourceName, id)))
}

function causeOf(error: unknown): Partial<ServiceError> {
  return (error as Error).cause ?? {}
}

function isPodNotFound(error: unknown): boolean {
  const { code, details } = causeOf(error)
  return code === status.UNKNOWN && /^pod .* not found$/.test(details ?? '')
}

/** grpc-js has the same code for an answer beyond receiveMaxBytes. */
function isRateLimit(error: ServiceError | null): boolean {
  return error?.code === status.RESOURCE_EXHAUSTED && error.details === 'rejected by rate limit'
}

/** The kubelet itself refused: the connection is good. */
function answered(error: unknown): boolean {
  const { code } = causeOf(error)
  return code === status.RESOURCE_EXHAUSTED || code === status.UNKNOWN
}
