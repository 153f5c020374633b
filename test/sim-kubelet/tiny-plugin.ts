// The smallest device plugin that a kubelet accepts: lists what the test says and answers Allocate as the test says.
import { join } from 'node:path'

import {
  credentials,
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerWritableStream,
} from '@grpc/grpc-js'

import { devicePluginApi } from '../../src/device-plugin/kubelet-api.ts'
import type { AllocateResponse } from '../../src/device-plugin/gen/v1beta1/AllocateResponse.ts'
import type { DevicePluginOptions } from '../../src/device-plugin/gen/v1beta1/DevicePluginOptions.ts'
import type { PreferredAllocationRequest__Output } from '../../src/device-plugin/gen/v1beta1/PreferredAllocationRequest.ts'
import type { PreferredAllocationResponse } from '../../src/device-plugin/gen/v1beta1/PreferredAllocationResponse.ts'
import type { PreStartContainerResponse } from '../../src/device-plugin/gen/v1beta1/PreStartContainerResponse.ts'
import type { Device } from '../../src/device-plugin/gen/v1beta1/Device.ts'
import type { Empty__Output } from '../../src/device-plugin/gen/v1beta1/Empty.ts'
import type { ListAndWatchResponse } from '../../src/device-plugin/gen/v1beta1/ListAndWatchResponse.ts'

export class TinyPlugin {
  readonly #directory: string
  readonly #socket: string
  readonly #server = new Server()
  readonly #streams = new Set<ServerWritableStream<Empty__Output, ListAndWatchResponse>>()
  #devices: readonly Device[] = []
  /** What the plugin was asked, in order. */
  readonly calls: string[] = []
  options: DevicePluginOptions = {}
  prefers: readonly string[] = []
  preStartAnswer: () => Error | null = () => null
  beforeAllocateAnswer: () => Promise<void> = async () => {}

  constructor(kubeletDirectory: string, socket: string) {
    this.#directory = join(kubeletDirectory, 'device-plugins')
    this.#socket = socket
    this.#server.addService(devicePluginApi.DevicePlugin.service, {
      GetDevicePluginOptions: (_call: unknown, answer: sendUnaryData<object>) => {
        this.calls.push('GetDevicePluginOptions')
        answer(null, this.options)
      },
      ListAndWatch: (stream: ServerWritableStream<Empty__Output, ListAndWatchResponse>) => {
        this.calls.push(`ListAndWatch from ${stream.getHost()}`)
        this.#streams.add(stream)
        stream.on('cancelled', () => this.#streams.delete(stream))
        stream.write({ devices: [...this.#devices] })
      },
      GetPreferredAllocation: (
        call: { request: PreferredAllocationRequest__Output },
        answer: sendUnaryData<PreferredAllocationResponse>,
      ) => {
        const [request] = call.request.containerRequests
        const { availableDeviceIDs = [], mustIncludeDeviceIDs = [], allocationSize = 0 } = request ?? {}
        const available = availableDeviceIDs.toSorted().join(',')
        this.calls.push(
          `GetPreferredAllocation ${allocationSize} of ${available} with ${mustIncludeDeviceIDs.join(',')}`,
        )
        answer(null, { containerResponses: [{ deviceIDs: [...this.prefers] }] })
      },
      PreStartContainer: (
        call: { request: { devicesIds: string[] } },
        answer: sendUnaryData<PreStartContainerResponse>,
      ) => {
        this.calls.push(`PreStartContainer ${call.request.devicesIds.join(',')}`)
        const refusal = this.preStartAnswer()
        if (refusal === null) answer(null, {})
        else answer({ code: status.FAILED_PRECONDITION, details: refusal.message })
      },
      Allocate: (
        call: { request: { containerRequests: { devicesIds: string[] }[] } },
        answer: sendUnaryData<AllocateResponse>,
      ) => {
        const ids = call.request.containerRequests.flatMap(({ devicesIds }) => devicesIds)
        this.calls.push(`Allocate ${ids.join(',')}`)
        this.beforeAllocateAnswer().then(
          () => answer(null, { containerResponses: [{ envs: { DEVICES: ids.join(',') } }] }),
          ({ message }: Error) => answer({ code: status.UNKNOWN, details: message }),
        )
      },
    })
  }

  async serve(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const address = `unix://${join(this.#directory, this.#socket)}`
    this.#server.bindAsync(address, ServerCredentials.createInsecure(), (failure) =>
      failure ? reject(failure) : resolve(),
    )
    await promise
  }

  async register(resourceName: string, version = 'v1beta1'): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const address = `unix://${join(this.#directory, 'kubelet.sock')}`
    const client = new devicePluginApi.Registration(address, credentials.createInsecure())
    client.Register({ version, endpoint: this.#socket, resourceName }, (failure) =>
      failure ? reject(failure) : resolve(),
    )
    await promise.finally(() => {
      this.calls.push('Register answered')
      client.close()
    })
  }

  list(...devices: readonly (string | Device)[]): void {
    this.#devices = devices.map((device) =>
      typeof device === 'string' ? { ID: device, health: 'Healthy', topology: null } : device,
    )
    for (const stream of this.#streams) stream.write({ devices: [...this.#devices] })
  }

  stop(): void {
    this.#server.forceShutdown()
  }
}
