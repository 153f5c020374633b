// Stands in for the kubelets of all nodes of a fleet: admits each pod that is bound to one of them, gives it devices or refuses it as a
// kubelet does, calls it Running, and lets it go when it is deleted.
import type { KubeClient } from '../../src/kube/cluster.ts'
import { isConflict, isInvalid, isNotFound } from '../../src/kube/kube-error.ts'
import { podPath } from '../../src/kube/resource.ts'
import { WorkQueue } from '../../src/kube/work-queue.ts'
import { type Clock, timestamp } from '../../src/process/clock.ts'
import type { Log } from '../../src/process/log.ts'
import type { DeviceBook } from './device-book.ts'
import type { FleetNodes } from './fleet-nodes.ts'
import { type FleetPod, hasEnded } from './fleet-pod.ts'

/** Of all nodes together. */
const writesAtOnce = 64

export interface KubeletStandInParts {
  readonly cluster: Pick<KubeClient, 'request'>
  readonly nodes: FleetNodes
  readonly book: DeviceBook
  readonly isClaimed: (key: string) => boolean
  readonly onDevices: (keys: readonly string[]) => void
  readonly clock: Clock
  readonly log: Log
}

export interface PodCounts {
  readonly running: number
  readonly rejected: number
  /** Running on a node where nothing has registered what they ask for: what must never happen. */
  readonly withoutDevice: number
}

type Verdict = 'admitted' | { readonly message: string }

export class KubeletStandIn {
  readonly #parts: KubeletStandInParts
  readonly #queue: WorkQueue
  readonly #pods = new Map<string, FleetPod>()
  /** By pod UID: admission is decided once. */
  readonly #verdicts = new Map<string, Verdict>()
  readonly #waitingForNode = new Map<string, Set<string>>()
  #counts: PodCounts = { running: 0, rejected: 0, withoutDevice: 0 }

  constructor(parts: KubeletStandInParts) {
    this.#parts = parts
    this.#queue = new WorkQueue((key) => this.#work(key), writesAtOnce, parts.log, parts.clock)
    parts.nodes.onChange((nodeName) => {
      for (const key of this.#waitingForNode.get(nodeName) ?? []) this.#queue.add(key)
      this.#waitingForNode.delete(nodeName)
    })
  }

  /** Since the start. */
  get counts(): PodCounts {
    return this.#counts
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal)
  }

  /** What a watch says. */
  setPod(key: string, pod: FleetPod | undefined): void {
    const before = this.#pods.get(key)
    if (before !== undefined && before.uid !== pod?.uid) this.#forget(before)
    if (pod === undefined) {
      this.#pods.delete(key)
      return
    }
    this.#pods.set(key, pod)
    if (pod.nodeName !== undefined) this.#queue.add(key)
  }

  #forget({ uid }: FleetPod): void {
    this.#verdicts.delete(uid)
    this.#release(uid)
  }

  async #work(key: string): Promise<undefined> {
    const pod = this.#pods.get(key)
    if (pod?.nodeName === undefined) return
    if (this.#parts.nodes.get(pod.nodeName) === undefined) {
      // Another kubelet's, or one whose Node the watch has not shown yet.
      const waiting = this.#waitingForNode.get(pod.nodeName) ?? new Set()
      this.#waitingForNode.set(pod.nodeName, waiting.add(key))
      return
    }
    if (hasEnded(pod)) this.#release(pod.uid)
    if (pod.isDeleting) return this.#letGo(pod)
    if (pod.phase !== 'Pending' && pod.phase !== 'Running') return
    const verdict = this.#verdicts.get(pod.uid) ?? this.#admit(pod, pod.nodeName)
    if (pod.phase === 'Pending') await this.#writeStatus(pod, verdict)
  }

  #admit(pod: FleetPod, nodeName: string): Verdict {
    const { nodes, book, isClaimed, onDevices } = this.#parts
    const registered = nodes.get(nodeName)?.registered ?? new Set()
    // A resource that nothing has registered is skipped without a word (devicemanager/manager.go, isDevicePluginResource).
    const served = new Map([...pod.demand].filter(([resource, count]) => count > 0 && registered.has(resource)))
    const isBare = [...pod.demand].some(([resource, count]) => count > 0 && !served.has(resource))
    const allocated = book.allocate(pod, nodeName, served, isClaimed)
    const verdict: Verdict = allocated.ok ? 'admitted' : { message: refusalOf(allocated) }
    this.#verdicts.set(pod.uid, verdict)
    this.#count(allocated.ok, isBare)
    if (allocated.ok) onDevices(allocated.keys)
    return verdict
  }

  #count(isAdmitted: boolean, isBare: boolean): void {
    const { running, rejected, withoutDevice } = this.#counts
    this.#counts = {
      running: running + (isAdmitted ? 1 : 0),
      rejected: rejected + (isAdmitted ? 0 : 1),
      withoutDevice: withoutDevice + (isAdmitted && isBare ? 1 : 0),
    }
  }

  #release(podUID: string): void {
    const keys = this.#parts.book.release(podUID)
    if (keys.length > 0) this.#parts.onDevices(keys)
  }

  /** Its containers have ended: the last deletion is the kubelet's. */
  async #letGo({ namespace, name, uid }: FleetPod): Promise<undefined> {
    this.#release(uid)
    const body = { gracePeriodSeconds: 0, preconditions: { uid } }
    await ignoreGone(this.#parts.cluster.request('DELETE', podPath(namespace, name), { body }))
  }

  async #writeStatus({ namespace, name, uid, containers }: FleetPod, verdict: Verdict): Promise<void> {
    const time = timestamp(this.#parts.clock)
    const status = verdict === 'admitted' ? runningStatus(containers, time) : refusedStatus(verdict.message, time)
    const body = { metadata: { uid }, status }
    await ignoreGone(
      this.#parts.cluster.request('PATCH', `${podPath(namespace, name)}/status`, { as: 'strategic', body }),
    )
  }
}

/** As a kubelet says it (devicemanager/manager.go, lifecycle/admission_failure_handler.go). */
function refusalOf(refused: { resource: string; requested: number; available: number }): string {
  const { resource, requested, available } = refused
  const why = `requested number of devices unavailable for ${resource}. Requested: ${requested}, Available: ${available}`
  return `Pod was rejected: Allocate failed due to ${why}, which is unexpected`
}

function refusedStatus(message: string, startTime: string): object {
  return { phase: 'Failed', reason: 'UnexpectedAdmissionError', message, startTime }
}

function runningStatus(containers: readonly string[], time: string): object {
  const conditions = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady'].map((type) => {
    return { type, status: 'True', lastTransitionTime: time }
  })
  const containerStatuses = containers.map((name) => ({
    name,
    ready: true,
    started: true,
    restartCount: 0,
    image: 'fleet',
    imageID: '',
    state: { running: { startedAt: time } },
  }))
  return { phase: 'Running', startTime: time, conditions, containerStatuses }
}

/** A pod that is gone, or whose name another one has now, needs nothing more. */
async function ignoreGone(request: Promise<unknown>): Promise<void> {
  try {
    await request
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error) && !isInvalid(error)) throw error
  }
}
