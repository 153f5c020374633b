// Admission of pods that ask for devices (devicemanager/manager.go, Allocate and allocateContainerResources): one pod after the other,
// as in the kubelet's sync loop; in a pod the init containers in order, sidecars among them, then the others; a refusal is final.
import { randomUUID } from 'node:crypto'

import type { ContainerAllocateResponse__Output } from '../../src/device-plugin/gen/v1beta1/ContainerAllocateResponse.ts'
import { Lane } from '../pci/lane.ts'
import type { Container, DeviceManager, Pod } from './device-manager.ts'
import type { PluginEndpoint } from './plugin-endpoint.ts'
import type { Registration } from './registration.ts'

interface PodIdentity {
  readonly namespace: string
  readonly name: string
  readonly uid?: string
}

export interface ContainerDemand extends Container {
  /** By resource. */
  readonly limits: Readonly<Record<string, number>>
}

/** Of one container and one resource, or of several. */
export type PodDemand = PodIdentity &
  (
    | { readonly container?: string; readonly resource: string; readonly count: number }
    | { readonly containers: readonly ContainerDemand[] }
  )

export interface Allocation {
  readonly container: string
  readonly resource: string
  readonly devices: readonly string[]
  readonly response: ContainerAllocateResponse__Output
}

export type AdmissionResult =
  | {
      readonly admitted: true
      readonly uid: string
      /** Each device once. Empty when the kubelet knows no such resource: the pod runs without. */
      readonly devices: readonly string[]
      /** Of the first allocation. */
      readonly response: ContainerAllocateResponse__Output | null
      readonly allocations: readonly Allocation[]
    }
  | { readonly admitted: false; readonly reason: 'UnexpectedAdmissionError'; readonly message: string }

type ReusableDevices = Map<string, ReadonlySet<string>>

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
  /** Active already: what its earlier containers have is not collected. */
  #admitting: string | null = null
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
      this.#admitting = pod.uid
      const result = await this.#allocatePod(pod, containersOf(demand))
      this.#admitting = null
      if (result.admitted) this.#pods.set(pod.uid, pod)
      return result
    })
  }

  /** After a reboot: no container runs, and the plugin is not asked for what the checkpoint has. Returns why the pod failed, or null. */
  readmit(identity: Pick<Pod, 'namespace' | 'name'>): Promise<string | null> {
    return this.#syncLoop.run(async () => {
      const refusal = this.#devices
        .held()
        .filter(({ pod }) => isPod(pod, identity))
        .map(({ resource, devices }) => this.#devices.whyNotAgain(resource, devices))
        .find((reason) => reason !== null)
      if (refusal === undefined || refusal === null) return null
      this.end(identity)
      return rejected(refusal).message
    })
  }

  end(identity: Pick<Pod, 'namespace' | 'name'>): void {
    for (const pod of this.#pods.values()) if (isPod(pod, identity)) this.#pods.delete(pod.uid)
  }

  /** Pods that run, as far as their source has told. */
  activePods(): readonly Pod[] {
    return this.#sourceIsReady() ? [...this.#pods.values()] : []
  }

  /** UpdateAllocatedDevices: takes the devices of pods that have ended, and none while not all pods are known. */
  collectEnded(): void {
    if (this.#sourceIsReady()) this.#devices.collect(({ uid }) => this.#pods.has(uid) || uid === this.#admitting)
  }

  #sourceIsReady(): boolean {
    return performance.now() >= this.#podsFromMs
  }

  /** What earlier containers of a refused pod were given is recorded all the same, and collected later. */
  async #allocatePod(pod: Pod, containers: readonly ContainerDemand[]): Promise<AdmissionResult> {
    const reusable: ReusableDevices = new Map()
    const allocations: Allocation[] = []
    for (const container of containers) {
      const result = await this.#allocateContainer(pod, container, reusable)
      if (typeof result === 'string') return rejected(result)
      allocations.push(...result)
      for (const { resource, devices } of result) {
        // App containers use again what init containers had; a sidecar runs beside them and keeps its own.
        const others = [...(reusable.get(resource) ?? [])].filter((id) => !devices.includes(id))
        reusable.set(resource, new Set(container.kind === 'init' ? [...others, ...devices] : others))
      }
    }
    const devices = [...new Set(allocations.flatMap((allocation) => allocation.devices))]
    return { admitted: true, uid: pod.uid, devices, response: allocations[0]?.response ?? null, allocations }
  }

  async #allocateContainer(
    pod: Pod,
    container: ContainerDemand,
    reusable: ReusableDevices,
  ): Promise<readonly Allocation[] | string> {
    const allocations: Allocation[] = []
    let hasCollected = false
    for (const [resource, count] of Object.entries(container.limits)) {
      if (!this.#devices.knows(resource)) continue
      if (!hasCollected) this.collectEnded()
      hasCollected = true
      const result = await this.#allocate(pod, container, resource, count, reusable.get(resource) ?? new Set())
      if (typeof result === 'string') return result
      allocations.push({ container: container.name, resource, ...result })
    }
    return allocations
  }

  async #allocate(
    pod: Pod,
    container: Container,
    resource: string,
    count: number,
    reusable: ReadonlySet<string>,
  ): Promise<Pick<Allocation, 'devices' | 'response'> | string> {
    const plugin = this.#registration.plugin(resource)
    let taken: readonly string[] | string
    try {
      const prefer = (available: readonly string[], mustInclude: readonly string[]) =>
        plugin?.preferred(available, mustInclude, count) ?? Promise.resolve([])
      taken = await this.#devices.take(resource, count, reusable, prefer)
    } catch (failure) {
      return `device plugin GetPreferredAllocation rpc failed with err: ${(failure as Error).message}`
    }
    if (typeof taken === 'string') return taken
    try {
      if (plugin === undefined) throw new Error(`endpoint of ${resource} has been stopped`)
      if (this.allocateAfter !== null) this.#onHeld(taken)
      await this.allocateAfter
      const response = await this.#ask(plugin, taken)
      this.#panicIfGone(resource, taken)
      this.#devices.record({ pod, container, resource, response }, taken)
      return { devices: taken, response }
    } catch (failure) {
      this.#devices.countAllocatedFromPods()
      return (failure as Error).message
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

function containersOf(demand: PodDemand): readonly ContainerDemand[] {
  if (!('containers' in demand)) {
    return [{ name: demand.container ?? 'main', kind: 'app', limits: { [demand.resource]: demand.count } }]
  }
  const isInit = ({ kind }: ContainerDemand) => kind !== 'app'
  return [...demand.containers.filter(isInit), ...demand.containers.filter((container) => !isInit(container))]
}

function isPod(pod: Pod, { namespace, name }: Pick<Pod, 'namespace' | 'name'>): boolean {
  return pod.namespace === namespace && pod.name === name
}

/** pkg/kubelet/lifecycle: the pod's phase becomes Failed, and nothing tries it again. */
function rejected(reason: string): AdmissionResult & { readonly admitted: false } {
  const message = `Pod was rejected: Allocate failed due to ${reason}, which is unexpected`
  return { admitted: false, reason: 'UnexpectedAdmissionError', message }
}
