// bind: claims a device for the pod, waits until the node's device plugin has acknowledged the claim, then posts the Binding.
// The acknowledgement is what makes a device fresh: a dead plugin or kubelet never gives one.
import type { V1Pod } from '@kubernetes/client-node'

import { type Claim, terminalFailure } from '../api/eni-attachment.ts'
import { type Demand, podDemand } from '../api/pod-demand.ts'
import type { Cluster } from '../kube/cluster.ts'
import { isConflict, isNotFound } from '../kube/kube-error.ts'
import { podPath } from '../kube/resource.ts'
import type { Clock } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import { KeyMutex } from '../process/key-mutex.ts'
import { isUsable, type Ledger } from './ledger.ts'
import type { BindingArgs } from './protocol.ts'
import { Reservations } from './reservation.ts'

/** Below the scheduler's httpTimeout of 6 min, so that the scheduler hears the reason and not a timeout. */
export const bindDeadlineMs = 5 * 60_000
/** An advertised, idle device is acknowledged in milliseconds by a plugin that is alive. */
const reuseDeadlineMs = 5_000
/** How long a node whose plugin was silent is left out. */
const suspendMs = 30_000

/** undefined: bound. Otherwise why not, for the pod's FailedScheduling event. */
export type BindOutcome = string | undefined

export class Binder {
  readonly #cluster: Cluster
  readonly #ledger: Ledger
  readonly #managed: ReadonlySet<string>
  readonly #clock: Clock
  readonly #log: Log
  readonly #nodeMutex = new KeyMutex()
  readonly #podMutex = new KeyMutex()
  readonly #reservations: Reservations

  constructor(cluster: Cluster, ledger: Ledger, managed: ReadonlySet<string>, clock: Clock, log: Log) {
    this.#cluster = cluster
    this.#ledger = ledger
    this.#managed = managed
    this.#clock = clock
    this.#log = log
    this.#reservations = new Reservations(cluster, ledger, clock, log)
  }

  /** Idempotent by pod UID: kube-scheduler calls again after an error. The signal aborts when the caller hangs up. */
  async bind(args: BindingArgs, signal: AbortSignal): Promise<BindOutcome> {
    return this.#podMutex.run(args.PodUID, () => this.#bindOne(args, signal))
  }

  async #bindOne({ PodName, PodNamespace, PodUID, Node }: BindingArgs, signal: AbortSignal): Promise<BindOutcome> {
    const log = this.#log.child({ pod: `${PodNamespace}/${PodName}`, podUID: PodUID, node: Node })
    log.info('bind called')
    const claim: Claim = { namespace: PodNamespace, name: PodName, uid: PodUID }
    const pod = await this.#readPod(claim, signal)
    if (pod?.metadata?.uid !== PodUID || pod.metadata.deletionTimestamp !== undefined) return this.#abandon(claim)
    if (pod.spec?.nodeName !== undefined) {
      return pod.spec.nodeName === Node ? undefined : `pod is bound to ${pod.spec.nodeName} already`
    }
    const demand = podDemand(pod, this.#managed)
    const reserved = await this.#nodeMutex.run(Node, () => this.#reservations.reserve(Node, claim, demand))
    if (!reserved.ok) return `node ${Node}: ${reserved.reason}`
    const problem = await this.#waitForAcknowledgement(Node, claim, demand, reserved.ready, signal)
    if (problem !== undefined) return problem
    return this.#postBinding(claim, Node, log)
  }

  async #readPod({ namespace, name }: Claim, signal: AbortSignal): Promise<V1Pod | undefined> {
    try {
      return await this.#cluster.request<V1Pod>('GET', podPath(namespace, name), { signal })
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw error
    }
  }

  async #abandon(claim: Claim): Promise<BindOutcome> {
    await this.#reservations.free(this.#ledger.claimsOf(claim.uid))
    return 'pod was deleted'
  }

  async #waitForAcknowledgement(
    nodeName: string,
    claim: Claim,
    demand: Demand,
    ready: boolean,
    signal: AbortSignal,
  ): Promise<BindOutcome> {
    const deadlineMs = ready ? reuseDeadlineMs : bindDeadlineMs
    const late = new AbortController()
    const cancel = this.#clock.after(deadlineMs, () => late.abort())
    const ended = await this.#untilSettled(nodeName, claim.uid, demand, AbortSignal.any([signal, late.signal]))
    cancel()
    // The claim stays: the scheduler calls again, or the attacher frees it when the pod is gone.
    if (signal.aborted) return 'the scheduler hung up'
    if (ended === 'acknowledged') return undefined
    if (ended === 'waiting') return this.#tooLate(nodeName, claim, ready, deadlineMs)
    await this.#reservations.free(this.#ledger.claimsOf(claim.uid))
    return ended.reason
  }

  /** A claim that is merely late is kept, so that the retry goes to the same node; a silent plugin's node is left out. */
  async #tooLate(nodeName: string, claim: Claim, ready: boolean, deadlineMs: number): Promise<BindOutcome> {
    const seconds = deadlineMs / 1000
    if (!ready)
      return `node ${nodeName}: ENI was not ready within ${seconds} s; see kubectl describe enia, trying again`
    this.#ledger.suspend(nodeName, this.#clock.now() + suspendMs)
    await this.#reservations.free(this.#ledger.claimsOf(claim.uid))
    return `node ${nodeName}: ENI device plugin did not acknowledge the free device within ${seconds} s; is its pod running?`
  }

  #untilSettled(nodeName: string, podUID: string, demand: Demand, signal: AbortSignal): Promise<Standing> {
    return new Promise((resolve) => {
      const look = (): boolean => {
        const standing = standingOf(this.#ledger, nodeName, podUID, demand)
        if (standing === 'waiting' && !signal.aborted) return false
        stopListening()
        signal.removeEventListener('abort', look)
        resolve(standing)
        return true
      }
      const stopListening = this.#ledger.onChange((changed) => {
        if (changed === nodeName) look()
      })
      if (!look()) signal.addEventListener('abort', look, { once: true })
    })
  }

  async #postBinding({ namespace, name, uid }: Claim, nodeName: string, log: Log): Promise<BindOutcome> {
    const body = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { namespace, name, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: nodeName },
    }
    log.info('posting Binding')
    try {
      await this.#cluster.request('POST', `${podPath(namespace, name)}/binding`, { body })
    } catch (error) {
      if (isNotFound(error)) return this.#abandon({ namespace, name, uid })
      if (!isConflict(error)) throw error
      const pod = await this.#readPod({ namespace, name, uid }, new AbortController().signal)
      if (pod?.metadata?.uid !== uid) return this.#abandon({ namespace, name, uid })
      if (pod.spec?.nodeName !== nodeName) throw error
    }
    return undefined
  }
}

type Standing = 'acknowledged' | 'waiting' | { readonly reason: string }

/** How far the pod's claims on the node have come. Claims may move between devices while it waits, never below demand. */
function standingOf(ledger: Ledger, nodeName: string, podUID: string, demand: Demand): Standing {
  const onNode = ledger.attachmentsOn(nodeName).filter((attachment) => ledger.isOnItsInstance(attachment))
  const claims = onNode.filter(({ spec }) => spec.claim?.uid === podUID)
  const failure = claims.map(terminalFailure).find((found) => found !== undefined)
  if (failure !== undefined) return { reason: `node ${nodeName}: ${failure.message}` }
  let acknowledged = true
  for (const [resource, count] of demand) {
    const forResource = claims.filter((claim) => claim.spec.resourceName === resource && isUsable(claim))
    if (forResource.length < count) return { reason: `node ${nodeName}: the claim was withdrawn` }
    const confirmed = forResource.filter(({ status }) => status?.device?.acknowledged === podUID)
    if (confirmed.length < count) acknowledged = false
  }
  return acknowledged ? 'acknowledged' : 'waiting'
}
