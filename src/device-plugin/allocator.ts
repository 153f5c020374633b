// Answers Allocate from what is known at that moment, without any call to the API server. Refuses what is not surely free.
import type { Log } from '../process/log.ts'
import type { AllocateGate } from './allocate-gate.ts'
import { containerAnswer, type Injection } from './allocation.ts'
import type { MonotonicClock } from './monotonic-clock.ts'
import type { DeviceLists, ListedDevice } from './device-lists.ts'
import type { DeviceFiles } from './device-files.ts'
import type { AllocateRequest__Output } from './gen/v1beta1/AllocateRequest.ts'
import type { AllocateResponse } from './gen/v1beta1/AllocateResponse.ts'
import { deviceKey, type Occupancy } from './occupancy.ts'
import type { PodResources } from './pod-resources.ts'
import { hasDeviceNode } from './userspace-driver.ts'

export type AllocateResult =
  | { readonly kind: 'granted'; readonly response: AllocateResponse }
  | { readonly kind: 'refused'; readonly reason: string }

export interface AllocatorOptions {
  readonly lists: DeviceLists
  readonly occupancy: Occupancy
  readonly podResources: PodResources
  readonly gate: AllocateGate
  readonly clock: MonotonicClock
  readonly injection: Injection
  readonly files: Pick<DeviceFiles, 'isDescribed' | 'handOver'>
  readonly log: Log
  /** After each answer: somebody now holds a device, and the kubelet will show it. */
  readonly onAnswer: (resource: string, result: AllocateResult['kind']) => void
}

export class Allocator {
  readonly #options: AllocatorOptions
  /** Devices of answers that wait for the kubelet's word about an earlier holder. */
  readonly #inQuestion = new Set<string>()

  constructor(options: AllocatorOptions) {
    this.#options = options
  }

  async allocate(resource: string, request: AllocateRequest__Output): Promise<AllocateResult> {
    const { gate, log, onAnswer } = this.#options
    const requested = request.containerRequests.map(({ devicesIds }) => devicesIds)
    const result = await gate.during(() => this.#answer(resource, requested))
    const devices = requested.flat()
    if (result.kind === 'granted') log.info({ resource, devices }, 'device allocated')
    else log.warn({ resource, devices, reason: result.reason }, 'allocate refused')
    onAnswer(resource, result.kind)
    return result
  }

  async #answer(resource: string, requested: readonly (readonly string[])[]): Promise<AllocateResult> {
    const ids = requested.flat()
    // An empty answer would be a container without its devices.
    if (requested.length === 0 || requested.some(({ length }) => length === 0)) {
      return refused(`${resource}: Allocate names no device`)
    }
    if (new Set(ids).size < ids.length) return refused(`${resource}: the same device is asked for twice`)
    for (const id of ids) {
      const reason = await this.#whyNot(resource, id)
      if (reason !== undefined) return refused(reason)
    }
    const notHandedOver = await this.#options.files.handOver(resource, ids)
    if (notHandedOver !== undefined) return refused(notHandedOver)
    // Nothing is awaited from here on, so what was just checked still holds.
    const again = ids.map((id) => this.#whyNotNow(resource, id)).find((reason) => reason !== undefined)
    if (again !== undefined) return refused(again)
    return this.#grant(resource, requested)
  }

  #grant(resource: string, requested: readonly (readonly string[])[]): AllocateResult {
    const { lists, occupancy, clock, injection } = this.#options
    const containerResponses = requested.map((ids) => {
      const devices = ids.map((id) => lists.get(resource, id)).filter((device) => device !== undefined)
      return containerAnswer(resource, devices, injection)
    })
    for (const id of requested.flat()) occupancy.handOut(deviceKey(resource, id), clock.monotonic())
    return { kind: 'granted', response: { containerResponses } }
  }

  async #whyNot(resource: string, id: string): Promise<string | undefined> {
    const reason = this.#whyNotNow(resource, id)
    if (reason === undefined || this.#options.lists.get(resource, id)?.grantable !== true) return reason
    return (await this.#lastHolderLetGo(deviceKey(resource, id))) ? undefined : reason
  }

  #whyNotNow(resource: string, id: string): string | undefined {
    const device: ListedDevice | undefined = this.#options.lists.get(resource, id)
    if (device === undefined) return `${resource}: ${id} is not a device of this plugin`
    if (!device.grantable) return `${resource}: ${id} is unhealthy`
    if (!hasDeviceNode(device.card)) return `${resource}: ${id} has no device node of ${device.card.driver}`
    const { occupancy, files } = this.#options
    if (!files.isDescribed(resource, device.card)) return `${resource}: the CDI spec of ${id} is not as its card is`
    const key = deviceKey(resource, id)
    const holder = occupancy.holderOf(key)
    if (holder !== undefined) return `${resource}: ${id} is held by pod ${holder.namespace}/${holder.name}`
    if (occupancy.isHandedOut(key)) return `${resource}: ${id} was handed out and is not known to be free again`
    return occupancy.isKnown ? undefined : `${resource}: the kubelet has not said yet who holds ${id}`
  }

  /**
   * Our last List is up to a second old, and the kubelet collects ended pods just before it allocates. So a device that was
   * seen with a pod is asked about once more; one that was never seen with any pod stays refused.
   */
  async #lastHolderLetGo(key: string): Promise<boolean> {
    const { occupancy, podResources, log } = this.#options
    const holder = occupancy.holderOf(key)
    if (holder === undefined || this.#inQuestion.has(key)) return false
    this.#inQuestion.add(key)
    try {
      const holding = await podResources.holds(holder, key)
      // A pod that ended and came again under its name has nothing yet; so has one that the kubelet forgot (isForgotten).
      if (holding === 'device' || (holding === 'bare' && occupancy.isUnconfirmed(key))) return false
      occupancy.takeBack(key)
      return true
    } catch (error) {
      const [resource, pciAddress] = key.split(' ')
      const pod = `${holder.namespace}/${holder.name}`
      log.warn({ resource, pciAddress, pod, err: error }, 'kubelet does not say whether a pod still has its device')
      return false
    } finally {
      this.#inQuestion.delete(key)
    }
  }
}

function refused(reason: string): AllocateResult {
  return { kind: 'refused', reason }
}
