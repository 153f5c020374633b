// The kubelet's own account of devices (pkg/kubelet/cm/devicemanager/manager.go, 1.36): which a plugin has listed, which are
// healthy, which pod holds which. `allocated` is kept apart from the pods' devices, as there, and can fall behind them.
import type { ContainerAllocateResponse__Output } from '../../src/device-plugin/gen/v1beta1/ContainerAllocateResponse.ts'
import type { Shuffle } from './seeded-order.ts'

export interface ListedDevice {
  readonly id: string
  readonly healthy: boolean
  readonly numaNodes: readonly number[]
}

export interface Pod {
  readonly uid: string
  readonly namespace: string
  readonly name: string
}

export interface Container {
  readonly name: string
  /** A sidecar is an init container that is restarted for ever; its devices are its own for as long as the pod is there. */
  readonly kind: 'init' | 'sidecar' | 'app'
}

export interface HeldDevices {
  readonly pod: Pod
  readonly container: Container
  readonly resource: string
  /** The plugin's answer, kept in the checkpoint and replayed at each start of the container. */
  readonly response: ContainerAllocateResponse__Output
  readonly devices: readonly ListedDevice[]
}

export interface ResourceCount {
  readonly capacity: number
  readonly allocatable: number
}

/** The plugin's hint: which of the available to take; `mustInclude` are taken already. */
export type Preference = (available: readonly string[], mustInclude: readonly string[]) => Promise<readonly string[]>

export class DeviceManager {
  readonly #shuffle: Shuffle
  /** A resource is registered once its first list has come, be it empty. */
  readonly #listed = new Map<string, ReadonlyMap<string, ListedDevice>>()
  #held: readonly HeldDevices[] = []
  #allocated = new Set<string>()

  constructor(shuffle: Shuffle) {
    this.#shuffle = shuffle
  }

  list(resource: string, devices: readonly ListedDevice[]): void {
    this.#listed.set(resource, new Map(devices.map((device) => [device.id, device])))
  }

  /** The plugin's stream ended: capacity stays, nothing can be allocated. */
  markUnhealthy(resource: string): void {
    const devices = [...(this.#listed.get(resource)?.values() ?? [])]
    if (this.#listed.has(resource)) {
      this.list(
        resource,
        devices.map((device) => ({ ...device, healthy: false })),
      )
    }
  }

  /** A restart: the checkpoint has the names of registered resources and the pods' devices, no lists. */
  restart(): void {
    for (const resource of this.#listed.keys()) this.#listed.set(resource, new Map())
    this.countAllocatedFromPods()
  }

  /** A restart without its checkpoint: it knows of no resource, and not what running pods have. */
  loseCheckpoint(): void {
    this.#listed.clear()
    this.#held = []
    this.countAllocatedFromPods()
  }

  /** isDevicePluginResource: of any other resource in a pod's limits the kubelet takes no notice. */
  knows(resource: string): boolean {
    return this.#listed.has(resource) || [...this.#allocated].some((key) => key.startsWith(`${resource}=`))
  }

  has(resource: string, id: string): boolean {
    return this.#listed.get(resource)?.has(id) ?? false
  }

  /** UpdateAllocatedDevices: pods that have ended lose their devices, and only then is `allocated` counted anew. */
  collect(active: (pod: Pod) => boolean): void {
    const still = this.#held.filter((held) => active(held.pod))
    if (still.length === this.#held.length) return
    this.#held = still
    this.countAllocatedFromPods()
  }

  /**
   * devicesToAllocate, without alignment by topology: reusable ones first, then those that the plugin prefers, then any. Marks them
   * allocated before the plugin is asked to allocate. A string is the reason for refusal.
   */
  async take(
    resource: string,
    count: number,
    reusable: ReadonlySet<string>,
    prefer: Preference,
  ): Promise<readonly string[] | string> {
    const refusal = this.whyNotAgain(resource, [])
    if (refusal !== null) return refusal
    const taken: string[] = []
    const isEnough = (ids: Iterable<string>): boolean => {
      for (const id of this.#shuffle([...ids].toSorted())) {
        if (taken.length === count) break
        if (taken.includes(id)) continue
        this.#allocated.add(deviceKey(resource, id))
        taken.push(id)
      }
      return taken.length === count
    }
    if (isEnough(reusable)) return taken
    const free = this.#healthyIds(resource).filter((id) => !this.#allocated.has(deviceKey(resource, id)))
    const needed = count - taken.length
    if (free.length < needed) {
      return `requested number of devices unavailable for ${resource}. Requested: ${needed}, Available: ${free.length}`
    }
    const preferred = new Set(await prefer([...free, ...taken], taken))
    if (!isEnough(free.filter((id) => preferred.has(id)))) isEnough(free)
    return taken
  }

  /** Why these devices, which a pod has by the checkpoint, are none that it could start with; null when they are good. */
  whyNotAgain(resource: string, devices: readonly ListedDevice[]): string | null {
    if (!this.#listed.has(resource)) return `cannot allocate unregistered device ${resource}`
    const healthy = new Set(this.#healthyIds(resource))
    if (healthy.size === 0) return `no healthy devices present; cannot allocate unhealthy devices ${resource}`
    if (devices.every(({ id }) => healthy.has(id))) return null
    return `previously allocated devices are no longer healthy; cannot allocate unhealthy devices ${resource}`
  }

  #healthyIds(resource: string): readonly string[] {
    return [...(this.#listed.get(resource)?.values() ?? [])].filter(({ healthy }) => healthy).map(({ id }) => id)
  }

  /** The plugin agreed. Adds to the pods' devices and, as in the kubelet, not to `allocated`, where take() had put them. */
  record(held: Omit<HeldDevices, 'devices'>, ids: readonly string[]): void {
    const listed = this.#listed.get(held.resource)
    const devices = ids.map((id) => listed?.get(id)).filter((device) => device !== undefined)
    this.#held = [...this.#held, { ...held, devices }]
  }

  /** Forgets devices that were taken and not recorded: after a refusal of the plugin, and whenever a pod was collected. */
  countAllocatedFromPods(): void {
    this.#allocated = new Set(
      this.#held.flatMap(({ resource, devices }) => devices.map(({ id }) => deviceKey(resource, id))),
    )
  }

  held(): readonly HeldDevices[] {
    return this.#held
  }

  /** GetAllocatableResources: healthy devices, held or not. */
  healthy(): readonly { readonly resource: string; readonly device: ListedDevice }[] {
    return [...this.#listed].flatMap(([resource, devices]) =>
      [...devices.values()].filter((device) => device.healthy).map((device) => ({ resource, device })),
    )
  }

  /** What the kubelet would write to Node.status; no key for a resource that was never listed. */
  counts(): ReadonlyMap<string, ResourceCount> {
    return new Map(
      Array.from(this.#listed, ([resource, devices]) => {
        const allocatable = [...devices.values()].filter((device) => device.healthy).length
        return [resource, { capacity: devices.size, allocatable }]
      }),
    )
  }
}

function deviceKey(resource: string, id: string): string {
  return `${resource}=${id}`
}
