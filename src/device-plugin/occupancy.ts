// Who has which device, as far as this process can know: what it handed out, and what the kubelet's List has shown since.
// The kubelet can offer one device to two pods: a List of any client during Allocate may reset its set of allocated devices
// without the new one (UpdateAllocatedDevices, pkg/kubelet/cm/devicemanager/manager.go, 1.36). So our own memory decides.

export interface Holder {
  readonly namespace: string
  readonly name: string
}

/** One answer of the kubelet's List. */
export interface HolderList {
  /** Monotonic milliseconds just before the call. */
  readonly startedAt: number
  /** By device key. */
  readonly holders: ReadonlyMap<string, Holder>
}

interface HandOut {
  readonly answeredAt: number
  /** A List has shown its pod. */
  shown: boolean
}

/** An admission that fails after Allocate is never in List; by then it has failed or is in List. */
export const unsettledMs = 5_000

export type DeviceKey = string

export function deviceKey(resource: string, deviceID: string): DeviceKey {
  return `${resource} ${deviceID}`
}

export class Occupancy {
  readonly #handedOut = new Map<DeviceKey, HandOut>()
  #last: HolderList | undefined

  /** Whether the kubelet has told anything yet. */
  get isKnown(): boolean {
    return this.#last !== undefined
  }

  /** Start of the newest List, in monotonic milliseconds. */
  get listedAt(): number {
    return this.#last?.startedAt ?? Number.NEGATIVE_INFINITY
  }

  /** Some device is out and no List has shown with whom. */
  get isUnsettled(): boolean {
    return [...this.#handedOut.values()].some(({ shown }) => !shown)
  }

  handOut(key: DeviceKey, answeredAt: number): void {
    this.#handedOut.set(key, { answeredAt, shown: false })
  }

  /** The kubelet says itself that its last pod no longer has it. A newer hand-out, not seen with any pod yet, stays. */
  takeBack(key: DeviceKey): void {
    if (this.#handedOut.get(key)?.shown === true) this.#handedOut.delete(key)
    if (this.#last === undefined) return
    const holders = new Map(this.#last.holders)
    holders.delete(key)
    this.#last = { ...this.#last, holders }
  }

  observe(list: HolderList): void {
    if (list.startedAt < this.listedAt) return
    this.#last = list
    for (const [key, handOut] of this.#handedOut) {
      if (list.startedAt < handOut.answeredAt) continue
      if (list.holders.has(key)) handOut.shown = true
      else if (handOut.shown || list.startedAt - handOut.answeredAt >= unsettledMs) this.#handedOut.delete(key)
    }
  }

  holderOf(key: DeviceKey): Holder | undefined {
    return this.#last?.holders.get(key)
  }

  isHandedOut(key: DeviceKey): boolean {
    return this.#handedOut.has(key)
  }

  /** Nobody has it: the kubelet has listed its pods, none holds it, and every hand-out of ours is settled. */
  isFree(key: DeviceKey): boolean {
    return this.isKnown && this.holderOf(key) === undefined && !this.isHandedOut(key)
  }
}
