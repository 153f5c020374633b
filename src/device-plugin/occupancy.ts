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
  /** Names of the pods that it shows without any device. */
  readonly bare?: ReadonlySet<string>
}

export function podName({ namespace, name }: Holder): string {
  return `${namespace}/${name}`
}

interface HandOut {
  readonly answeredAt: number
  /** A List has shown its pod. */
  shown: boolean
}

/** An admission that fails after Allocate is never in List; by then it has failed or is in List. */
export const unsettledMs = 5_000

/**
 * A kubelet that starts lists no pods until its API source has delivered them and each is admitted again (GetActivePods,
 * kubelet_pods.go; HandlePodAdditions, kubelet.go). An emulated machine needed up to 4.1 s for that.
 */
export const doubtMs = 10_000

export type DeviceKey = string

export function deviceKey(resource: string, deviceID: string): DeviceKey {
  return `${resource} ${deviceID}`
}

export class Occupancy {
  readonly #onNeverShown: (key: DeviceKey) => void
  readonly #handedOut = new Map<DeviceKey, HandOut>()
  #last: HolderList | undefined
  /** Holders that an earlier kubelet, or an earlier process of ours, has seen, and no List has shown since. */
  readonly #unconfirmed = new Map<DeviceKey, Holder>()
  #doubtUntil = Number.NEGATIVE_INFINITY

  /** `onNeverShown`: a device was handed out, and no pod was ever seen with it; it counts as free again. */
  constructor(onNeverShown: (key: DeviceKey) => void = () => undefined) {
    this.#onNeverShown = onNeverShown
  }

  /** As the newest List has them. */
  get holders(): ReadonlyMap<DeviceKey, Holder> {
    return this.#last?.holders ?? new Map()
  }

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

  /** The kubelet may be another process from now on: a pod that its List does not show need not have ended. */
  doubt(now: number): void {
    for (const [key, holder] of this.#last?.holders ?? []) this.#unconfirmed.set(key, holder)
    this.#doubtUntil = now + doubtMs
  }

  /** A holder that an earlier process of ours has seen. */
  recall(key: DeviceKey, holder: Holder, now: number): void {
    if (this.holderOf(key) !== undefined) return
    this.#unconfirmed.set(key, holder)
    this.#doubtUntil = Math.max(this.#doubtUntil, now + doubtMs)
  }

  handOut(key: DeviceKey, answeredAt: number): void {
    this.#handedOut.set(key, { answeredAt, shown: false })
  }

  /** The kubelet says itself that its last pod no longer has it. A newer hand-out, not seen with any pod yet, stays. */
  takeBack(key: DeviceKey): void {
    this.#unconfirmed.delete(key)
    if (this.#handedOut.get(key)?.shown === true) this.#handedOut.delete(key)
    if (this.#last === undefined) return
    const holders = new Map(this.#last.holders)
    holders.delete(key)
    this.#last = { ...this.#last, holders }
  }

  observe(list: HolderList): void {
    if (list.startedAt < this.listedAt) return
    this.#last = list
    const isDoubtful = list.startedAt < this.#doubtUntil
    for (const [key, holder] of this.#unconfirmed) {
      const mayStillHold = isDoubtful || list.bare?.has(podName(holder)) === true
      if (list.holders.has(key) || !mayStillHold) this.#unconfirmed.delete(key)
    }
    for (const [key, handOut] of this.#handedOut) {
      if (list.startedAt < handOut.answeredAt) continue
      if (list.holders.has(key)) handOut.shown = true
      else if (isDoubtful && !handOut.shown) continue
      else if (handOut.shown) this.#handedOut.delete(key)
      else if (list.startedAt - handOut.answeredAt >= unsettledMs) {
        this.#handedOut.delete(key)
        this.#onNeverShown(key)
      }
    }
  }

  /**
   * The pod that had it before the kubelet started is listed without any device: the kubelet has lost its checkpoint, in which
   * it keeps who has what, and takes the device for free (devicemanager/manager.go, readCheckpoint; such a pod is not allocated
   * again, isContainerAlreadyRunning). It may also be another pod of that name; both end with that pod.
   */
  isForgotten(key: DeviceKey): boolean {
    const holder = this.#unconfirmed.get(key)
    return holder !== undefined && this.#last?.bare?.has(podName(holder)) === true
  }

  /** The holder is of an earlier life of the kubelet, or of ours, and no List has shown it since. */
  isUnconfirmed(key: DeviceKey): boolean {
    return this.#unconfirmed.has(key)
  }

  holderOf(key: DeviceKey): Holder | undefined {
    return this.#last?.holders.get(key) ?? this.#unconfirmed.get(key)
  }

  /** Resources of which a pod has, or may have, the device of this ID. */
  resourcesHolding(deviceID: string): readonly string[] {
    const keys = [...(this.#last?.holders.keys() ?? []), ...this.#unconfirmed.keys(), ...this.#handedOut.keys()]
    const suffix = ` ${deviceID}`
    return [...new Set(keys.filter((key) => key.endsWith(suffix)).map((key) => key.slice(0, -suffix.length)))]
  }

  isHandedOut(key: DeviceKey): boolean {
    return this.#handedOut.has(key)
  }

  /** Nobody has it: the kubelet has listed its pods, none holds it, and every hand-out of ours is settled. */
  isFree(key: DeviceKey): boolean {
    return this.isKnown && this.holderOf(key) === undefined && !this.isHandedOut(key)
  }
}
