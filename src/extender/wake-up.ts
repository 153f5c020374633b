// Wakes the pods that filter refused when a device, slot or subnet frees: a condition patched onto a pending pod's status
// re-queues that pod and no other (kube-scheduler 1.36), which no event of ours could do.
import { wakeUpCondition } from '../api/names.ts'
import type { Demand } from '../api/pod-demand.ts'
import type { Cluster } from '../kube/cluster.ts'
import { isNotFound } from '../kube/kube-error.ts'
import { podPath } from '../kube/resource.ts'
import { type Clock, timestamp } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { Ledger } from './ledger.ts'
import { checkNode } from './node-check.ts'

/** Changes come in bursts; this one gathers them. */
const gatherMs = 20
/** kube-scheduler looks at every refused pod again within 5 min by itself, so forgetting one is no loss. */
const refusedMax = 20_000

export interface RefusedPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly demand: Demand
}

export class WakeUp {
  readonly #cluster: Cluster
  readonly #ledger: Ledger
  readonly #clock: Clock
  readonly #log: Log
  /** Oldest first, by UID. */
  readonly #refused = new Map<string, RefusedPod>()
  readonly #changedNodes = new Set<string>()

  constructor(cluster: Cluster, ledger: Ledger, clock: Clock, log: Log) {
    this.#cluster = cluster
    this.#ledger = ledger
    this.#clock = clock
    this.#log = log
  }

  refused(pod: RefusedPod): void {
    if (this.#refused.size < refusedMax) this.#refused.set(pod.uid, pod)
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
    for (const nodeName of this.#changedNodes) this.#wakeFor(nodeName)
    this.#changedNodes.clear()
  }

  /** Wakes as many pods, oldest first, as the node could take. */
  #wakeFor(nodeName: string): void {
    let room = Number.POSITIVE_INFINITY
    for (const pod of this.#refused.values()) {
      if (room <= 0) return
      const verdict = checkNode(this.#ledger, nodeName, pod.demand, pod.uid)
      if (!verdict.fits) continue
      const idle = verdict.plans.reduce((sum, { reuse }) => sum + reuse.length, 0)
      room = Math.min(room, verdict.slotsLeft + idle) - 1
      this.#refused.delete(pod.uid)
      void this.#patch(pod)
    }
  }

  async #patch({ namespace, name }: RefusedPod): Promise<void> {
    const condition = {
      type: wakeUpCondition,
      status: 'True',
      reason: 'CapacityFreed',
      message: 'an ENI or a slot for one became free; the scheduler tries again',
      lastTransitionTime: timestamp(this.#clock),
    }
    const body = { status: { conditions: [condition] } }
    try {
      await this.#cluster.request('PATCH', `${podPath(namespace, name)}/status`, { as: 'strategic', body })
      this.#log.info({ pod: `${namespace}/${name}` }, 'refused pod woken up')
    } catch (error) {
      if (!isNotFound(error)) this.#log.warn({ pod: `${namespace}/${name}`, err: error }, 'refused pod not woken up')
    }
  }
}
