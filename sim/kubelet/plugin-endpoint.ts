// The kubelet's connection to one registered device plugin: dial, ask its options, watch its list, call Allocate.
import { credentials, type ClientReadableStream } from '@grpc/grpc-js'

import { devicePluginApi } from '../../src/device-plugin/kubelet-api.ts'
import type { ContainerAllocateResponse__Output } from '../../src/device-plugin/gen/v1beta1/ContainerAllocateResponse.ts'
import type { DevicePluginClient } from '../../src/device-plugin/gen/v1beta1/DevicePlugin.ts'
import type { DevicePluginOptions__Output } from '../../src/device-plugin/gen/v1beta1/DevicePluginOptions.ts'
import type { ListAndWatchResponse__Output } from '../../src/device-plugin/gen/v1beta1/ListAndWatchResponse.ts'
import type { ListedDevice } from './device-manager.ts'

/** Dials the plugin's socket and asks for its options, as the kubelet does before it answers Register. */
export async function connectPlugin(resource: string, socket: string, deadlineMs: number): Promise<PluginEndpoint> {
  // grpc-js sends the authority "localhost" to unix sockets, as the kubelet does.
  const client = new devicePluginApi.DevicePlugin(`unix://${socket}`, credentials.createInsecure())
  try {
    await ready(client, deadlineMs)
    await options(client)
  } catch (cause) {
    client.close()
    throw new Error(`failed to dial device plugin at ${socket}: ${(cause as Error).message}`, { cause })
  }
  return new PluginEndpoint(resource, client)
}

export class PluginEndpoint {
  readonly resource: string
  readonly #client: DevicePluginClient
  #stream: ClientReadableStream<ListAndWatchResponse__Output> | null = null

  constructor(resource: string, client: DevicePluginClient) {
    this.resource = resource
    this.#client = client
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
