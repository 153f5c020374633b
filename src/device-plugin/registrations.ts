// All resources of this node and their registrations. A resource once registered stays so: the kubelet admits a pod without
// any device when its resource was never registered (kubelet/lifecycle/predicate.go), and never forgets one that was.
import type { Log } from '../process/log.ts'
import type { Allocator } from './allocator.ts'
import type { ContainerStarts } from './container-starts.ts'
import type { DeviceLists, ListedDevice } from './device-lists.ts'
import type { Device } from './gen/v1beta1/Device.ts'
import type { KubeletSockets } from './kubelet-sockets.ts'
import { numaNodeOf, type Topology } from './numa-node.ts'
import { type PreferableDevice, preferredAllocation } from './preferred-allocation.ts'
import { Registration, type RegistrationCounts } from './registration.ts'

export interface RegistrationsOptions {
  readonly directory: string
  readonly sockets: KubeletSockets
  readonly lists: DeviceLists
  readonly allocator: Allocator
  readonly starts: ContainerStarts
  readonly topology: Topology
  readonly log: Log
  readonly counts: RegistrationCounts
  readonly onChange: () => void
}

export class Registrations {
  readonly #options: RegistrationsOptions
  readonly #registrations = new Map<string, Registration>()
  readonly #running: Promise<void>[] = []
  #signal: AbortSignal | undefined
  readonly #failed = Promise.withResolvers<never>()

  constructor(options: RegistrationsOptions) {
    this.#options = options
  }

  get unregistered(): readonly string[] {
    return [...this.#registrations].filter(([, { isRegistered }]) => !isRegistered).map(([resource]) => resource)
  }

  ensure(resource: string): void {
    if (this.#registrations.has(resource) || this.#signal === undefined) return
    const { lists, allocator, starts, topology, log, ...rest } = this.#options
    const registration = new Registration({
      ...rest,
      log,
      resource,
      devices: () => lists.of(resource).map((device) => toDevice(device, topology)),
      allocate: (request) => allocator.allocate(resource, request),
      prefer: (wish) => preferredAllocation(wish, preferable(lists.of(resource), topology)),
      checksStarts: () => starts.checks,
      whyNotStart: (deviceIDs) => starts.whyNot(resource, deviceIDs),
    })
    this.#registrations.set(resource, registration)
    this.#running.push(registration.run(this.#signal).catch((error: unknown) => this.#failed.reject(error)))
  }

  send(resource: string): void {
    this.#registrations.get(resource)?.send()
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal
    const stopped = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => stopped.resolve(), { once: true })
    if (signal.aborted) stopped.resolve()
    await Promise.race([stopped.promise, this.#failed.promise])
    await Promise.all(this.#running)
  }
}

function preferable(devices: readonly ListedDevice[], topology: Topology): ReadonlyMap<string, PreferableDevice> {
  return new Map(
    devices.map(({ card, isClaimed = false }) => {
      const id = card.pciAddress
      return [id, { id, isClaimed, numaNode: numaNodeOf(card, topology) }]
    }),
  )
}

function toDevice({ card, health }: ListedDevice, topology: Topology): Device {
  const node = numaNodeOf(card, topology)
  return { ID: card.pciAddress, health, ...(node !== undefined && { topology: { nodes: [{ ID: node }] } }) }
}
