// The scheduler with its extender: the real ledger, filter and bind over the API double, and in place of kube-scheduler a loop for
// each pod that tries one node after the other until the pod is bound.
// Does not model: priorities, pre-emption, wake-up (tries come by time alone).
import { pino } from 'pino'

import type { Claim } from '../../../src/api/eni-attachment.ts'
import { podDemand, type ResourceAsker } from '../../../src/api/pod-demand.ts'
import { Binder } from '../../../src/extender/bind.ts'
import { filter } from '../../../src/extender/filter.ts'
import { LedgerFeed } from '../../../src/extender/ledger-feed.ts'
import { Ledger } from '../../../src/extender/ledger.ts'
import { sleep } from '../../../src/process/clock.ts'
import { InProcessCluster } from '../../kube-api/in-process-cluster.ts'
import type { KubeObject } from '../../kube-api/resources.ts'
import { CrashPoint, mortalClock, mortalCluster } from '../lab/crash-point.ts'
import type { Lab } from '../lab/lab.ts'
import { hasEnded, nodeOf } from './kubelet.ts'
import { resources } from './world.ts'

const log = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' })
const managed = new Set<string>(resources)
/** As kube-scheduler backs off. */
const firstTryMs = 1_000
const lastTryMs = 10_000

interface Process {
  readonly point: CrashPoint
  readonly stop: AbortController
  readonly ledger: Ledger
  readonly binder: Binder
}

export class Extender {
  readonly #lab: Lab
  readonly #ended = new AbortController()
  #process: Process

  constructor(lab: Lab) {
    this.#lab = lab
    this.#process = this.#start()
  }

  /** In the middle of whatever it does. */
  restart(): void {
    this.#kill()
    this.#process = this.#start()
  }

  stop(): void {
    this.#ended.abort()
    this.#kill()
  }

  /** Looks after the pod until it is bound or gone. `firstNode` decides between nodes that are as good. */
  async schedule(claim: Claim, firstNode: number): Promise<void> {
    let backoffMs = firstTryMs
    for (let turn = firstNode; !this.#ended.signal.aborted; turn++) {
      const pod = this.#unbound(claim)
      if (pod === undefined) return
      const [nodeName, ...others] = this.nodesFor(pod)
      if (nodeName !== undefined) await this.#bind(claim, [nodeName, ...others][turn % (others.length + 1)] ?? nodeName)
      await sleep(this.#lab.clock, backoffMs, this.#ended.signal)
      backoffMs = Math.min(backoffMs * 2, lastTryMs)
    }
  }

  /** Those that can have the pod, as the extender knows them. */
  nodesFor(pod: KubeObject): readonly string[] {
    const { ledger } = this.#process
    return filter(ledger, pod.metadata.uid, podDemand(pod as ResourceAsker, managed), [...ledger.nodeNames()].sort())
      .NodeNames
  }

  async #bind({ namespace, name, uid }: Claim, nodeName: string): Promise<void> {
    const { binder, stop } = this.#process
    const gone = new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()))
    const args = { PodNamespace: namespace, PodName: name, PodUID: uid, Node: nodeName }
    const bound = binder.bind(args, stop.signal).catch((error: unknown) => log.warn({ err: error }, 'bind failed'))
    await Promise.race([bound, gone])
  }

  #unbound({ namespace, name, uid }: Claim): KubeObject | undefined {
    const pod = this.#lab.api.store('pods').get(`${namespace}/${name}`)
    return pod?.metadata.uid === uid && nodeOf(pod) === undefined && !hasEnded(pod) ? pod : undefined
  }

  #start(): Process {
    const point = new CrashPoint(undefined, () => {})
    const stop = new AbortController()
    const clock = mortalClock(this.#lab.clock, point)
    const cluster = mortalCluster(new InProcessCluster(this.#lab.api), point)
    const ledger = new Ledger()
    void new LedgerFeed({ cluster, ledger, managed, log, clock }).run(stop.signal)
    return { point, stop, ledger, binder: new Binder(cluster, ledger, managed, clock, log) }
  }

  #kill(): void {
    this.#process.point.kill()
    this.#process.stop.abort()
  }
}
