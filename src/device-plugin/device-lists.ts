// The device list of each resource as the kubelet is told it. A device turns Unhealthy first and leaves the list only when it
// is known to be free: a list without a device whose Allocate is open makes the kubelet panic (kubernetes/kubernetes#95041).
import type { EniStatus } from '../api/eni-attachment.ts'
import type { KubeletView } from './kubelet-view.ts'
import { deviceKey, type Occupancy } from './occupancy.ts'
import type { PciCard } from './pci-scan.ts'

/** All that Allocate needs to answer. */
export interface OfferedDevice {
  readonly attachmentUID: string
  readonly card: PciCard
  readonly eni: EniStatus
  /** Of the NodeENI, in bytes. */
  readonly mtu?: number | undefined
  /** A pod that is on its way was promised a device of this resource on the strength of this one. */
  readonly isClaimed?: boolean
}

export interface ListedDevice extends OfferedDevice {
  readonly health: 'Healthy' | 'Unhealthy'
  /** Monotonic milliseconds at which it got this health. */
  readonly since: number
  /**
   * A pod may have it: it is Healthy, or Unhealthy only because it is being released. The kubelet chooses a device before it
   * calls Allocate, and a refusal would end for good a pod for which it chose just before it heard of the release.
   */
  readonly grantable: boolean
}

/** An Allocate for which the kubelet chose before it heard that the device is Unhealthy has come by then. */
const onTheWayMs = 50

export class DeviceLists {
  readonly #onChange: (resource: string) => void
  readonly #lists = new Map<string, Map<string, ListedDevice>>()

  /** `onChange`: the kubelet must be told this resource's list. */
  constructor(onChange: (resource: string) => void) {
    this.#onChange = onChange
  }

  of(resource: string): readonly ListedDevice[] {
    return [...(this.#lists.get(resource)?.values() ?? [])]
  }

  all(): readonly (ListedDevice & { readonly resource: string })[] {
    return [...this.#lists].flatMap(([resource, list]) => [...list.values()].map((device) => ({ resource, ...device })))
  }

  get(resource: string, pciAddress: string): ListedDevice | undefined {
    return this.#lists.get(resource)?.get(pciAddress)
  }

  offer(resource: string, device: OfferedDevice, now: number): void {
    const list = this.#lists.get(resource) ?? new Map<string, ListedDevice>()
    this.#lists.set(resource, list)
    const before = list.get(device.card.pciAddress)
    const since = before?.health === 'Healthy' ? before.since : now
    list.set(device.card.pciAddress, { ...device, health: 'Healthy', since, grantable: true })
    if (before?.health !== 'Healthy') this.#onChange(resource)
  }

  /**
   * Takes every device that is not in `offered` (device keys) out, as far as is safe now. Those in `withdrawn` are as good as
   * before until they are out.
   */
  retain(
    offered: ReadonlySet<string>,
    withdrawn: ReadonlySet<string>,
    occupancy: Occupancy,
    view: KubeletView | undefined,
    now: number,
  ): void {
    for (const [resource, list] of this.#lists) {
      for (const [pciAddress, device] of list) {
        const key = deviceKey(resource, pciAddress)
        if (offered.has(key)) continue
        const wasHealthy = device.health === 'Healthy'
        const leaves = !wasHealthy && isOut(key, device.since, occupancy, view)
        const since = wasHealthy ? now : device.since
        if (leaves) list.delete(pciAddress)
        else list.set(pciAddress, { ...device, health: 'Unhealthy', since, grantable: withdrawn.has(key) })
        if (wasHealthy || leaves) this.#onChange(resource)
      }
    }
  }
}

/** The kubelet has it unhealthy, and a look begun long enough after that shows nobody with it. */
function isOut(key: string, since: number, occupancy: Occupancy, view: KubeletView | undefined): boolean {
  const outAt = since + onTheWayMs
  if (view === undefined || view.startedAt < outAt || view.allocatable.has(key)) return false
  return occupancy.listedAt >= outAt && occupancy.isFree(key)
}
