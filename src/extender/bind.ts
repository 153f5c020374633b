// bind: claims a device for the pod, waits until the node's device plugin has acknowledged the claim, then posts the Binding.
// The acknowledgement is what makes a device fresh: a dead plugin or kubelet never gives one.
import type { V1Pod } from '@kubernetes/client-node'

import { type Claim, terminalFailure } from '../api/eni-attachment.ts'
import { type Demand, podDemand } from '../api/pod-demand.ts'
import type { KubeClient } from '../kube/cluster.ts'
import { isConflict, isNotFound } from '../kube/kube-error.ts'
import { podPath } from '../kube/resource.ts'
import type { Clock } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import { KeyMutex } from '../process/key-mutex.ts'
import type { Ledger } from './ledger.ts'
import { deviceFailure, isUsable } from './node-account.ts'
import type { BindingArgs } from './protocol.ts'
import { Reservations } from './reservation.ts'

/** From the call on; below the scheduler's httpTimeout of 6 min, so that it hears the reason and not a timeout. */
export const bindDeadlineMs = 5 * 60_000
/** An advertised, idle device is acknowledged in milliseconds by a plugin that is alive. */
const reuseDeadlineMs = 5_000
/** An attached card shows itself on the node within seconds; a plugin that is alive needs one more. */
const cardDeadlineMs = 60_000
/** How long a node whose plugin was silent is left out. */
const suspendMs = 30_000

/** undefined: bound. Otherwise why not, for the pod's FailedScheduling event. */
export type BindOutcome = string | undefined

const hungUp = 'the scheduler hung up'

export class Binder {
  readonly #cluster: KubeClient
  readonly #ledger: Ledger
  readonly #managed: ReadonlySet<string>
  readonly #clock: Clock
  readonly #log: Log
  readonly #nodeMutex = new KeyMutex()
  readonly #podMutex = new KeyMutex()
  readonly #reservations: Reservations

  constructor(cluster: KubeClient, ledger: Ledger, managed: ReadonlySet<string>, clock: Clock, log: Log) {
    this.#cluster = cluster
    this.#ledger = ledger
    this.#managed = managed
    this.#clock = clock
    this.#log = log
    this.#reservations = new Reservations(cluster, ledger, log)
  }

  /** Idempotent by pod UID: kube-scheduler calls again after an error. The signal aborts when the caller hangs up. */
  async bind(args: BindingArgs, hangUp: AbortSignal): Promise<BindOutcome> {
    const late = new AbortController()
    const cancel = this.#clock.after(bindDeadlineMs, () => late.abort())
    try {
      return await this.#podMutex.run(args.PodUID, () => this.#bindOne(args, { hangUp, late: late.signal }))
    } finally {
      cancel()
    }
  }

  async #bindOne({ PodName, PodNamespace, PodUID, Node }: BindingArgs, ends: Ends): Promise<BindOutcome> {
    const log = this.#log.child({ pod: `${PodNamespace}/${PodName}`, podUID: PodUID, node: Node })
    log.info('bind called')
    const claim: Claim = { namespace: PodNamespace, name: PodName, uid: PodUID }
    const pod = await this.#readPod(claim, ends.hangUp)
    if (pod?.metadata?.uid !== PodUID || pod.metadata.deletionTimestamp !== undefined) return this.#abandon(claim)
    if (pod.spec?.nodeName !== undefined) {
      return pod.spec.nodeName === Node ? undefined : `pod is bound to ${pod.spec.nodeName} already`
    }
    const demand = podDemand(pod, this.#managed)
    if (demand.size === 0) return unmanaged(this.#managed)
    const reserved = await this.#nodeMutex.run(Node, async () =>
      ends.hangUp.aborted ? undefined : this.#reservations.reserve(Node, claim, demand),
    )
    if (reserved === undefined) return hungUp
    if (!reserved.ok) return `node ${Node}: ${reserved.reason}`
    const problem = await this.#waitForAcknowledgement(Node, claim, demand, reserved.ready, ends)
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
    ends: Ends,
  ): Promise<BindOutcome> {
    const isAttached = (standing: Standing) => standing !== 'attaching'
    const isSettled = (standing: Standing) => standing === 'acknowledged' || typeof standing === 'object'
    const look = () => standingOf(this.#ledger, nodeName, claim.uid, demand)
    const ended = AbortSignal.any([ends.hangUp, ends.late])
    let standing = await this.#until(nodeName, look, isAttached, ended)
    const deadlineMs = ready ? reuseDeadlineMs : cardDeadlineMs
    if (standing === 'attached') {
      const silent = new AbortController()
      const cancel = this.#clock.after(deadlineMs, () => silent.abort())
      standing = await this.#until(nodeName, look, isSettled, AbortSignal.any([ended, silent.signal]))
      cancel()
    }
    // The claim stays: the scheduler calls again, or the attacher frees it when the pod is gone.
    if (ends.hangUp.aborted) return hungUp
    if (standing === 'acknowledged') return undefined
    if (typeof standing === 'object') return this.#giveUp(claim, nodeName, standing.reason)
    if (ends.late.aborted) {
      const seconds = bindDeadlineMs / 1000
      return `node ${nodeName}: ENI was not ready within ${seconds} s; see kubectl describe enia, trying again`
    }
    const failure = this.#ledger
      .claimsOf(claim.uid)
      .map(deviceFailure)
      .find((found) => found !== undefined)
    if (failure !== undefined) return this.#giveUp(claim, nodeName, failure.message)
    this.#clock.after(suspendMs, this.#ledger.suspend(nodeName))
    const silent = `ENI device plugin did not acknowledge the device within ${deadlineMs / 1000} s; is its pod running?`
    return this.#giveUp(claim, nodeName, silent)
  }

  /** Another node may do better. */
  async #giveUp(claim: Claim, nodeName: string, reason: string): Promise<BindOutcome> {
    await this.#reservations.free(this.#ledger.claimsOf(claim.uid))
    return `node ${nodeName}: ${reason}`
  }

  /** Resolves with the standing when it is enough, or with the last one when the signal aborts. */
  #until(
    nodeName: string,
    look: () => Standing,
    isEnough: (standing: Standing) => boolean,
    signal: AbortSignal,
  ): Promise<Standing> {
    return new Promise((resolve) => {
      const check = (): void => {
        const standing = look()
        if (!isEnough(standing) && !signal.aborted) return
        stopListening()
        signal.removeEventListener('abort', check)
        resolve(standing)
      }
      const stopListening = this.#ledger.onNodeChange(nodeName, check)
      signal.addEventListener('abort', check, { once: true })
      check()
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

/** What ends a bind from outside. */
interface Ends {
  readonly hangUp: AbortSignal
  readonly late: AbortSignal
}

type Standing = 'attaching' | 'attached' | 'acknowledged' | { readonly reason: string }

/** How far the pod's claims on the node have come. Claims may move between devices while it waits, never below demand. */
function standingOf(ledger: Ledger, nodeName: string, podUID: string, demand: Demand): Standing {
  const onNode = ledger.attachmentsOn(nodeName).filter((attachment) => ledger.isOnItsInstance(attachment))
  const claims = onNode.filter(({ spec }) => spec.claim?.uid === podUID)
  const failure = claims.map(terminalFailure).find((found) => found !== undefined)
  if (failure !== undefined) return { reason: failure.message }
  let acknowledged = true
  for (const [resource, count] of demand) {
    const forResource = claims.filter((claim) => claim.spec.resourceName === resource && isUsable(claim))
    if (forResource.length < count) return { reason: 'the claim was withdrawn' }
    const confirmed = forResource.filter(({ status }) => status?.device?.acknowledged === podUID)
    if (confirmed.length < count) acknowledged = false
  }
  if (acknowledged) return 'acknowledged'
  return claims.every(({ status }) => status?.eni?.attached === true) ? 'attached' : 'attaching'
}

/** kube-scheduler sends only pods that name one of its managedResources, and leaves the check of them to us alone. */
export function unmanaged(managed: ReadonlySet<string>): string {
  return `pod asks for none of JIT_ENI_RESOURCES (${[...managed].join(', ')}): it must list what managedResources of the scheduler lists`
}
