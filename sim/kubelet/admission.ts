// Admission of pods that ask for a device (devicemanager/manager.go, allocateContainerResources): one pod after the other, as in the
// kubelet's sync loop; a refusal is final.
import { randomUUID } from 'node:crypto'

import type { ContainerAllocateResponse__Output } from '../../src/device-plugin/gen/v1beta1/ContainerAllocateResponse.ts'
import { Lane } from '../pci/lane.ts'
import type { DeviceManager, Pod } from './device-manager.ts'
import type { PluginEndpoint } from './plugin-endpoint.ts'
import type { Registration } from './registration.ts'

export interface PodDemand {
  readonly namespace: string
  readonly name: string
  readonly uid?: string
  readonly container?: string
  readonly resource: string
  readonly count: number
}

export type AdmissionResult =
  | {
      readonly admitted: true
      readonly uid: string
      /** Empty when the kubelet knows no such resource: the pod runs without. */
      readonly devices: readonly string[]
      readonly response: ContainerAllocateResponse__Output | null
    }
  | { readonly admitted: false; readonly reason: 'UnexpectedAdmissionError'; readonly message: string }

export class Admission {
  /** See Kubelet.raceListDuringAllocate. */
  raceNextAllocate = false
  /** See Kubelet.holdAllocate. */
  allocateAfter: Promise<void> | null = null
  readonly #devices: DeviceManager
  readonly #registration: Registration
  readonly #panic: (reason: string) => void
  readonly #pods = new Map<string, Pod>()
  readonly #syncLoop = new Lane()
  readonly #onHeld: (devices: readonly string[]) => void
  #podsFromMs = 0

  constructor(
    devices: DeviceManager,
    registration: Registration,
    panic: (reason: string) => void,
    onHeld: (devices: readonly string[]) => void,
  ) {
    this.#devices = devices
    this.#registration = registration
    this.#panic = panic
    this.#onHeld = onHeld
  }

  /** The source of pods delivers at this time of performance.now(): until then none is known (sourcesReady). */
  podsFrom(ms: number): void {
    this.#podsFromMs = ms
  }

  admit(demand: PodDemand): Promise<AdmissionResult> {
    return this.#syncLoop.run(async () => {
      const pod: Pod = { uid: demand.uid ?? randomUUID(), namespace: demand.namespace, name: demand.name }
      const result = await this.#allocate(pod, demand)
      if (result.admitted) this.#pods.set(pod.uid, pod)
      return result
    })
  }

  end({ namespace, name }: Pick<Pod, 'namespace' | 'name'>): void {
    for (const pod of this.#pods.values()) {
      if (pod.namespace === namespace && pod.name === name) this.#pods.delete(pod.uid)
    }
  }

  /** Pods that run, as far as their source has told. */
  activePods(): readonly Pod[] {
    return this.#sourceIsReady() ? [...this.#pods.values()] : []
  }

  /** UpdateAllocatedDevices: takes the devices of pods that have ended, and none while not all pods are known. */
  collectEnded(): void {
    if (this.#sourceIsReady()) this.#devices.collect((pod) => this.#pods.has(pod.uid))
  }

  #sourceIsReady(): boolean {
    return performance.now() >= this.#podsFromMs
  }

  async #allocate(pod: Pod, { container = 'main', resource, count }: PodDemand): Promise<AdmissionResult> {
    if (!this.#devices.knows(resource)) return { admitted: true, uid: pod.uid, devices: [], response: null }
    this.collectEnded()
    const taken = this.#devices.take(resource, count)
    if (typeof taken === 'string') return rejected(taken)
    try {
      const plugin = this.#registration.plugin(resource)
      if (plugin === undefined) throw new Error(`endpoint of ${resource} has been stopped`)
      if (this.allocateAfter !== null) this.#onHeld(taken)
      await this.allocateAfter
      const response = await this.#ask(plugin, taken)
      this.#panicIfGone(resource, taken)
      this.#devices.record(pod, container, resource, taken)
      return { admitted: true, uid: pod.uid, devices: taken, response }
    } catch (failure) {
      this.#devices.countAllocatedFromPods()
      return rejected((failure as Error).message)
    }
  }

  #ask(plugin: PluginEndpoint, ids: readonly string[]): Promise<ContainerAllocateResponse__Output> {
    const response = plugin.allocate(ids)
    if (this.raceNextAllocate) {
      this.raceNextAllocate = false
      this.#devices.countAllocatedFromPods()
    }
    return response
  }

  // The device is looked up again after Allocate, without a test for nil (kubernetes/kubernetes#95041).
  #panicIfGone(resource: string, ids: readonly string[]): void {
    const gone = ids.find((id) => !this.#devices.has(resource, id))
    if (gone === undefined) return
    const reason = `nil pointer dereference: ${resource} ${gone} left the list while its Allocate was open`
    this.#panic(reason)
    throw new Error(reason)
  }
}

/** pkg/kubelet/lifecycle: the pod's phase becomes Failed, and nothing tries it again. */
function rejected(reason: string): AdmissionResult {
  const message = `Pod was rejected: Allocate failed due to ${reason}, which is unexpected`
  return { admitted: false, reason: 'UnexpectedAdmissionError', message }
}
