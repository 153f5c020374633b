// Which devices the kubelets of the fleet have been offered, and which pod has which: what on a real node its kubelet knows.
import type { Holder } from '../../src/device-plugin/occupancy.ts'
import { preferredAllocation } from '../../src/device-plugin/preferred-allocation.ts'

export interface OfferedDevice {
  /** UID of its ENIAttachment. */
  readonly key: string
  readonly nodeName: string
  readonly resource: string
}

export interface HoldingPod extends Holder {
  readonly uid: string
}

export type Allocated =
  | { readonly ok: true; readonly keys: readonly string[] }
  | { readonly ok: false; readonly resource: string; readonly requested: number; readonly available: number }

export class DeviceBook {
  readonly #devices = new Map<string, OfferedDevice>()
  readonly #byPlace = new Map<string, Set<string>>()
  readonly #holders = new Map<string, HoldingPod>()
  readonly #byPod = new Map<string, readonly string[]>()

  offer(device: OfferedDevice): void {
    this.#devices.set(device.key, device)
    const place = placeOf(device)
    this.#byPlace.set(place, (this.#byPlace.get(place) ?? new Set()).add(device.key))
  }

  /** Only while nobody holds it. */
  withdraw(key: string): void {
    const device = this.#devices.get(key)
    if (device === undefined) return
    this.#devices.delete(key)
    this.#byPlace.get(placeOf(device))?.delete(key)
  }

  isOffered(key: string): boolean {
    return this.#devices.has(key)
  }

  holderOf(key: string): HoldingPod | undefined {
    return this.#holders.get(key)
  }

  hasAllocated(podUID: string): boolean {
    return this.#byPod.has(podUID)
  }

  /** All or nothing. `isClaimed` is what the plugin prefers by (GetPreferredAllocation). */
  allocate(
    pod: HoldingPod,
    nodeName: string,
    demand: ReadonlyMap<string, number>,
    isClaimed: (key: string) => boolean,
  ): Allocated {
    const chosen: string[] = []
    for (const [resource, size] of demand) {
      const free = [...(this.#byPlace.get(placeOf({ nodeName, resource })) ?? [])].filter(
        (key) => !this.#holders.has(key),
      )
      if (free.length < size) return { ok: false, resource, requested: size, available: free.length }
      const known = new Map(free.map((id) => [id, { id, isClaimed: isClaimed(id), numaNode: undefined }]))
      chosen.push(...preferredAllocation({ available: free, mustInclude: [], size }, known))
    }
    for (const key of chosen) this.#holders.set(key, pod)
    this.#byPod.set(pod.uid, chosen)
    return { ok: true, keys: chosen }
  }

  /** The devices that it had. */
  release(podUID: string): readonly string[] {
    const keys = this.#byPod.get(podUID) ?? []
    this.#byPod.delete(podUID)
    for (const key of keys) this.#holders.delete(key)
    return keys
  }
}

function placeOf({ nodeName, resource }: Pick<OfferedDevice, 'nodeName' | 'resource'>): string {
  return `${nodeName} ${resource}`
}
