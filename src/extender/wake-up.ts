// Wakes the pods that filter refused when a device, slot or subnet frees: a condition patched onto a pending pod's status
// re-queues that pod and no other (kube-scheduler 1.36), which no event of ours could do.
import { wakeUpCondition } from '../api/names.ts'
import type { Demand } from '../api/pod-demand.ts'
import type { KubeClient } from '../kube/cluster.ts'
import { isForbidden, isInvalid, isNotFound } from '../kube/kube-error.ts'
import { podPath } from '../kube/resource.ts'
import { type Clock, timestamp } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { Ledger } from './ledger.ts'
import { checkNode } from './node-check.ts'

/** Changes come in bursts; this one gathers them. */
const gatherMs = 20
/** After a patch that the API server did not take. */
const retryMs = 1_000
/** kube-scheduler looks at every refused pod again within 5 min by itself, so forgetting the oldest is no loss. */
const refusedMax = 20_000

export interface RefusedPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly demand: Demand
}

export class WakeUp {
  readonly #cluster: KubeClient
  readonly #ledger: Ledger
  readonly #clock: Clock
  readonly #log: Log
  /** Oldest first, by UID. */
  readonly #refused = new Map<string, RefusedPod>()
  readonly #changedNodes = new Set<string>()

  constructor(cluster: KubeClient, ledger: Ledger, clock: Clock, log: Log) {
    this.#cluster = cluster
    this.#ledger = ledger
    this.#clock = clock
    this.#log = log
  }

  refused(pod: RefusedPod): void {
    this.#refused.set(pod.uid, pod)
    const [oldest] = this.#refused.keys()
    if (this.#refused.size > refusedMax && oldest !== undefined) this.#refused.delete(oldest)
  }

  accepted(podUID: string): void {
    this.#refused.delete(podUID)
  }

  /** Listens to the ledger until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const ended = Promise.withResolvers<void>()
    const stopListening = this.#ledger.onChange((nodeName) => this.#gather(nodeName))
    signal.addEventListener('abort', () => ended.resolve(), { once: true })
    await ended.promise
    stopListening()
  }

  #gather(nodeName: string | undefined): void {
    if (this.#refused.size === 0) return
    if (this.#changedNodes.size === 0) this.#clock.after(gatherMs, () => this.#wake())
    for (const name of nodeName === undefined ? this.#ledger.nodeNames() : [nodeName]) this.#changedNodes.add(name)
  }

  #wake(): void {
    const kinds = new Set([...this.#refused.values()].map(({ demand }) => kindOf(demand)))
    for (const nodeName of this.#changedNodes) this.#wakeFor(nodeName, kinds.size)
    this.#changedNodes.clear()
  }

  /** Wakes as many pods, oldest first, as the node could take together. Ends when it can take none of any kind. */
  #wakeFor(nodeName: string, kindCount: number): void {
    const woken = new Map<string, number>()
    const tooMuch = new Set<string>()
    for (const pod of this.#refused.values()) {
      if (tooMuch.size === kindCount) return
      const kind = kindOf(pod.demand)
      if (tooMuch.has(kind)) continue
      const together = new Map(woken)
      for (const [resource, count] of pod.demand) together.set(resource, (woken.get(resource) ?? 0) + count)
      if (!checkNode(this.#ledger, nodeName, together, pod.uid).fits) {
        tooMuch.add(kind)
        continue
      }
      for (const [resource, count] of together) woken.set(resource, count)
      this.#refused.delete(pod.uid)
      void this.#patch(pod, nodeName)
    }
  }

  async #patch(pod: RefusedPod, nodeName: string): Promise<void> {
    const { namespace, name, uid } = pod
    const now = timestamp(this.#clock)
    const condition = {
      type: wakeUpCondition,
      status: 'True',
      reason: 'CapacityFreed',
      // The API server keeps whole seconds of lastTransitionTime; a patch that changes nothing would wake nobody.
      message: `an ENI or a slot for one became free at ${now}; the scheduler tries again`,
      lastTransitionTime: now,
    }
    const body = { metadata: { uid }, status: { conditions: [condition] } }
    try {
      await this.#cluster.request('PATCH', `${podPath(namespace, name)}/status`, { as: 'strategic', body })
      this.#log.info({ pod: `${namespace}/${name}` }, 'refused pod woken up')
    } catch (error) {
      // A pod that is gone, or whose name another one has now, leaves its turn to the next.
      if (isNotFound(error) || isInvalid(error)) return this.#gather(nodeName)
      this.#log.warn({ pod: `${namespace}/${name}`, err: error }, 'refused pod not woken up')
      if (isForbidden(error)) return
      this.refused(pod)
      this.#clock.after(retryMs, () => this.#gather(nodeName))
    }
  }
}

/** Pods of one kind fit on a node or do not, all alike. */
function kindOf(demand: Demand): string {
  return [...demand].map(([resource, count]) => `${resource}=${count}`).join()
}
