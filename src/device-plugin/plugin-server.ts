// One gRPC server of one resource for one registration, on a socket of its own. It is never repaired, only replaced: binding
// the same grpc-js Server again after its socket is gone answers well and creates no file.
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'

import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'

import type { Log } from '../process/log.ts'
import type { AllocateResult } from './allocator.ts'
import type { AllocateRequest__Output } from './gen/v1beta1/AllocateRequest.ts'
import type { AllocateResponse } from './gen/v1beta1/AllocateResponse.ts'
import type { Device } from './gen/v1beta1/Device.ts'
import type { DevicePluginHandlers } from './gen/v1beta1/DevicePlugin.ts'
import type { PreferredAllocationRequest__Output } from './gen/v1beta1/PreferredAllocationRequest.ts'
import type { PreferredAllocationResponse } from './gen/v1beta1/PreferredAllocationResponse.ts'
import type { PreStartContainerResponse } from './gen/v1beta1/PreStartContainerResponse.ts'
import type { Empty__Output } from './gen/v1beta1/Empty.ts'
import type { ListAndWatchResponse } from './gen/v1beta1/ListAndWatchResponse.ts'
import { devicePluginApi } from './kubelet-api.ts'
import type { AllocationWish } from './preferred-allocation.ts'

export interface PluginServerOptions {
  readonly directory: string
  readonly resource: string
  readonly devices: () => readonly Device[]
  readonly allocate: (request: AllocateRequest__Output) => Promise<AllocateResult>
  readonly prefer: (wish: AllocationWish) => string[]
  /** Whether the kubelet is to ask before each start of a container. */
  readonly checksStarts: () => boolean
  /** Why a container must not start with these devices. */
  readonly whyNotStart: (deviceIDs: readonly string[]) => string | undefined
  readonly log: Log
}

type Stream = ServerWritableStream<Empty__Output, ListAndWatchResponse>

export const socketPrefix = 'jit-eni-'

export class PluginServer {
  /** Unique, because a kubelet mixes up clients of the same name, and because a closing server removes its path. */
  readonly socketName = `${socketPrefix}${process.pid}-${randomBytes(4).toString('hex')}.sock`
  readonly path: string
  readonly #options: PluginServerOptions
  readonly #server = new Server()
  readonly #streams = new Set<Stream>()
  readonly #watched = Promise.withResolvers<void>()
  readonly #abandoned = Promise.withResolvers<void>()

  constructor(options: PluginServerOptions) {
    this.#options = options
    this.path = join(options.directory, this.socketName)
    this.#server.addService(devicePluginApi.DevicePlugin.service, this.#handlers())
  }

  /** Resolves when the kubelet has opened its first ListAndWatch. */
  get watched(): Promise<void> {
    return this.#watched.promise
  }

  /** Resolves when a ListAndWatch has ended: it may have been the kubelet's, which never opens another by itself. */
  get abandoned(): Promise<void> {
    return this.#abandoned.promise
  }

  async listen(): Promise<void> {
    // bindAsync fails on any file that is there.
    rmSync(this.path, { force: true })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.bindAsync(`unix://${this.path}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve()
      else reject(new Error(`serve ${this.#options.resource} on ${this.path}: ${error.message}`, { cause: error }))
    })
    await promise
  }

  /** The whole list to each open stream. */
  send(): void {
    const devices = [...this.#options.devices()]
    for (const stream of this.#streams) stream.write({ devices })
  }

  endStreams(): void {
    for (const stream of this.#streams) stream.end()
    this.#streams.clear()
  }

  /** tryShutdown would wait for streams that last for weeks. */
  close(): void {
    this.endStreams()
    this.#server.forceShutdown()
  }

  #handlers(): DevicePluginHandlers & UntypedServiceImplementation {
    return {
      GetDevicePluginOptions: (_call, answer) => {
        answer(null, { preStartRequired: this.#options.checksStarts(), getPreferredAllocationAvailable: true })
      },
      ListAndWatch: (stream) => this.#watch(stream),
      GetPreferredAllocation: ({ request }, answer) => answer(null, this.#preferred(request)),
      Allocate: ({ request }, answer) => void this.#allocate(request, answer),
      PreStartContainer: ({ request }, answer) => this.#preStart(request.devicesIds, answer),
    }
  }

  #watch(stream: Stream): void {
    this.#streams.add(stream)
    const forget = () => {
      this.#streams.delete(stream)
      this.#abandoned.resolve()
    }
    stream.once('cancelled', forget)
    stream.once('close', forget)
    stream.on('error', forget)
    stream.write({ devices: [...this.#options.devices()] })
    this.#watched.resolve()
  }

  /** Only a hint: the kubelet takes others when it is wrong. */
  #preferred({ containerRequests }: PreferredAllocationRequest__Output): PreferredAllocationResponse {
    const { prefer } = this.#options
    const wishes = containerRequests.map((request) => ({
      available: request.availableDeviceIDs,
      mustInclude: request.mustIncludeDeviceIDs,
      size: request.allocationSize,
    }))
    return { containerResponses: wishes.map((wish) => ({ deviceIDs: prefer(wish) })) }
  }

  #preStart(deviceIDs: readonly string[], answer: sendUnaryData<PreStartContainerResponse>): void {
    const { whyNotStart, resource, log } = this.#options
    const reason = whyNotStart(deviceIDs)
    if (reason === undefined) return answer(null, {})
    log.warn({ resource, devices: deviceIDs, reason }, 'container start refused')
    answer({ code: status.FAILED_PRECONDITION, details: reason })
  }

  /** grpc-js never answers a call whose async handler throws. */
  async #allocate(request: AllocateRequest__Output, answer: sendUnaryData<AllocateResponse>): Promise<void> {
    const { allocate, resource, log } = this.#options
    try {
      const result = await allocate(request)
      if (result.kind === 'granted') answer(null, result.response)
      else answer({ code: status.FAILED_PRECONDITION, details: result.reason })
    } catch (error) {
      log.error({ resource, err: error }, 'allocate failed')
      answer({ code: status.INTERNAL, details: `${resource}: ${String(error)}` })
    }
  }
}
