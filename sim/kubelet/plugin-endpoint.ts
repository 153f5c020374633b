// The kubelet's connection to one registered device plugin: dial, ask its options, watch its list, call Allocate.
import { credentials, type ClientReadableStream } from '@grpc/grpc-js'

import { devicePluginApi } from '../../src/device-plugin/kubelet-api.ts'
import type { ContainerAllocateResponse__Output } from '../../src/device-plugin/gen/v1beta1/ContainerAllocateResponse.ts'
import type { DevicePluginClient } from '../../src/device-plugin/gen/v1beta1/DevicePlugin.ts'
import type { DevicePluginOptions__Output } from '../../src/device-plugin/gen/v1beta1/DevicePluginOptions.ts'
import type { ListAndWatchResponse__Output } from '../../src/device-plugin/gen/v1beta1/ListAndWatchResponse.ts'
import type { ListedDevice } from './device-manager.ts'

/** pluginapi.KubeletPreStartContainerRPCTimeoutInSecs. */
const preStartDeadlineMs = 30_000

/** Dials the plugin's socket and asks for its options, as the kubelet does before it answers Register. */
export async function connectPlugin(resource: string, socket: string, deadlineMs: number): Promise<PluginEndpoint> {
  // grpc-js sends the authority "localhost" to unix sockets, as the kubelet does.
  const client = new devicePluginApi.DevicePlugin(`unix://${socket}`, credentials.createInsecure())
  try {
    await ready(client, deadlineMs)
    return new PluginEndpoint(resource, client, await options(client))
  } catch (cause) {
    client.close()
    throw new Error(`failed to dial device plugin at ${socket}: ${(cause as Error).message}`, { cause })
  }
}

export class PluginEndpoint {
  readonly resource: string
  readonly #client: DevicePluginClient
  readonly #options: DevicePluginOptions__Output
  #stream: ClientReadableStream<ListAndWatchResponse__Output> | null = null

  constructor(resource: string, client: DevicePluginClient, offered: DevicePluginOptions__Output) {
    this.resource = resource
    this.#client = client
    this.#options = offered
  }

  /** Calls back with each list; resolves when the stream has ended, however it ended. The kubelet never opens it again. */
  async watch(onList: (devices: readonly ListedDevice[]) => void): Promise<void> {
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    this.#stream = this.#client.ListAndWatch({})
    this.#stream.on('data', (message: ListAndWatchResponse__Output) => onList(message.devices.map(listed)))
    this.#stream.on('error', () => resolve())
    this.#stream.on('end', resolve)
    await ended
  }

  cancelWatch(): void {
    this.#stream?.cancel()
  }

  /** One container a call; the kubelet sets no deadline. */
  async allocate(devicesIds: readonly string[]): Promise<ContainerAllocateResponse__Output> {
    const { promise, resolve, reject } = Promise.withResolvers<ContainerAllocateResponse__Output>()
    this.#client.Allocate({ containerRequests: [{ devicesIds: [...devicesIds] }] }, (failure, response) => {
      if (failure) return reject(failure)
      const container = response?.containerResponses[0]
      if (container === undefined) return reject(new Error('no containers return in allocation response'))
      resolve(container)
    })
    return promise
  }

  /** Nothing when the plugin does not offer it. */
  async preferred(
    available: readonly string[],
    mustInclude: readonly string[],
    size: number,
  ): Promise<readonly string[]> {
    if (!this.#options.getPreferredAllocationAvailable) return []
    const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>()
    const request = {
      availableDeviceIDs: [...available],
      mustIncludeDeviceIDs: [...mustInclude],
      allocationSize: size,
    }
    this.#client.GetPreferredAllocation({ containerRequests: [request] }, (failure, response) => {
      if (failure) return reject(failure)
      resolve(response?.containerResponses[0]?.deviceIDs ?? [])
    })
    return promise
  }

  /** Before each start of a container, when the plugin asks for it. */
  async preStart(devicesIds: readonly string[]): Promise<void> {
    if (!this.#options.preStartRequired) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const deadline = Date.now() + preStartDeadlineMs
    this.#client.PreStartContainer({ devicesIds: [...devicesIds] }, { deadline }, (failure) =>
      failure ? reject(failure) : resolve(),
    )
    await promise
  }

  close(): void {
    this.cancelWatch()
    this.#client.close()
  }
}

function ready(client: DevicePluginClient, deadlineMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  client.waitForReady(Date.now() + deadlineMs, (failure) => (failure ? reject(failure) : resolve()))
  return promise
}

function options(client: DevicePluginClient): Promise<DevicePluginOptions__Output> {
  const { promise, resolve, reject } = Promise.withResolvers<DevicePluginOptions__Output>()
  client.GetDevicePluginOptions({}, (failure, response) => {
    if (failure || !response) reject(failure ?? new Error('no options'))
    else resolve(response)
  })
  return promise
}

function listed(device: ListAndWatchResponse__Output['devices'][number]): ListedDevice {
  return {
    id: device.ID,
    healthy: device.health === 'Healthy',
    numaNodes: device.topology?.nodes.map((node) => node.ID) ?? [],
  }
}
