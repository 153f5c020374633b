// Now and then, and when asked: what EC2 says of our nodes' instances, written to each node for the extender's filter.
import type { V1Node } from '@kubernetes/client-node'

import { capacityAnnotation } from '../api/names.ts'
import type { NodeCapacity } from '../api/node-capacity.ts'
import { type NodeENI, selectsNode } from '../api/node-eni.ts'
import type { KubeClient } from '../kube/cluster.ts'
import type { Informer } from '../kube/informer.ts'
import { isNotFound } from '../kube/kube-error.ts'
import type { NodeFacts } from '../kube/objects.ts'
import { nodePath } from '../kube/resource.ts'
import { type Clock, sleep } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { Ec2Error } from './ec2-error.ts'
import type { Inventory } from './inventory.ts'
import type { NodeRefusals } from './node-refusals.ts'
import { RetryPause } from './retry-pause.ts'

/** In between, EC2 itself says no to an attach for which there is no room any more, and the sweep that follows tells the extender. */
const sweepMs = 240_000
const lastRetryMs = 60_000
/** As many as the annotation may name. */
const refusedMax = 64
/** Nodes and NodeENIs come in groups; one describe serves them all. */
const gatherMs = 100
/** Each sweep describes all instances, so those after a contradiction come at once, then ever more rarely, until there was none for long. */
const firstSpacingMs = 1_000
const lastSpacingMs = 10_000
const quietMs = 30_000

export interface NodeSweepParts {
  readonly cluster: KubeClient
  readonly store: AttachmentStore
  readonly nodes: Informer<NodeFacts>
  readonly nodeENIs: Informer<NodeENI>
  readonly inventory: Inventory
  readonly refusals: NodeRefusals
  /** Called after each sweep: NodeENIs may have become usable, or the reverse. */
  readonly onSwept: () => void
  /** `trouble` has changed. */
  readonly onTrouble: () => void
  readonly clock: Clock
  readonly log: Log
}

export class NodeSweep {
  readonly #parts: NodeSweepParts
  readonly #pause: RetryPause
  #asked = Promise.withResolvers<void>()
  #contradicted = Promise.withResolvers<void>()
  #isContradicted = false
  /** When the last sweep after a contradiction ended. */
  #answeredAtMs = -Infinity
  #spacingMs = 0
  #trouble: Ec2Error | undefined

  constructor(parts: NodeSweepParts) {
    this.#parts = parts
    this.#pause = new RetryPause(parts.clock, lastRetryMs)
  }

  /** Why EC2 does not say what the instances are: no credentials, no right, no answer. */
  get trouble(): Ec2Error | undefined {
    return this.#trouble
  }

  /** These nodes have changed, or, with a NodeENI, what is wanted of all; sweep if an instance is not known yet. */
  nodesChanged(nodes?: Iterable<NodeFacts>): void {
    if (this.#hasUnknownInstances(nodes)) this.#asked.resolve()
  }

  /** EC2 or a device plugin contradicted what we know: the extender must hear of it before the pod is scheduled again. */
  sweepSoon(): void {
    this.#isContradicted = true
    this.#contradicted.resolve()
  }

  /** EC2 answers again, so that a sweep that failed need not wait. */
  retry(): void {
    this.#pause.end()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts
    while (!signal.aborted) {
      const isAnswer = this.#isContradicted
      this.#isContradicted = false
      this.#contradicted = Promise.withResolvers()
      this.#pause.beginTry()
      const isDone = await this.#trySweep()
      if (isAnswer) this.#answeredAtMs = clock.monotonic()
      if (!isDone) {
        await this.#pause.afterFailure(signal)
      } else if (!this.#hasUnknownInstances()) {
        // Who asked for instances while EC2 was describing them has his answer.
        this.#asked = Promise.withResolvers()
        await Promise.race([sleep(clock, sweepMs, signal), this.#asked.promise, this.#isDueAgain(signal)])
      }
      await sleep(clock, gatherMs, signal)
    }
  }

  /** Resolves some time after a contradiction that the last sweep may not have seen. */
  async #isDueAgain(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts
    await this.#contradicted.promise
    const sinceMs = clock.monotonic() - this.#answeredAtMs
    if (sinceMs > quietMs) this.#spacingMs = 0
    else this.#spacingMs = Math.min(Math.max(2 * this.#spacingMs, firstSpacingMs), lastSpacingMs)
    await sleep(clock, Math.max(0, this.#spacingMs - sinceMs), signal)
  }

  async #trySweep(): Promise<boolean> {
    const { log } = this.#parts
    try {
      await this.#sweep()
      this.#pause.succeeded()
      return true
    } catch (error) {
      log.warn({ err: error }, 'describing the instances of our nodes failed, trying again')
      if (error instanceof Ec2Error) this.#setTrouble(error)
      return false
    }
  }

  #setTrouble(trouble: Ec2Error | undefined): void {
    const isNews = this.#trouble?.message !== trouble?.message
    this.#trouble = trouble
    if (isNews) this.#parts.onTrouble()
  }

  async #sweep(): Promise<void> {
    const { inventory, store } = this.#parts
    const nodes = this.#relevant()
    const ourEnis = () => store.all().flatMap(({ status }) => status?.eni?.eniID ?? [])
    const before = ourEnis()
    // Those with ENIs of ours too: no NodeENI may select their nodes any more, or the node be gone.
    const withEnis = store.all().map(({ spec }) => spec.instanceID)
    await inventory.refresh([...new Set([...nodes.map(({ instanceID }) => instanceID), ...withEnis])])
    this.#setTrouble(undefined)
    // An ENI whose object came or went while EC2 answered is ours all the same.
    const ours = new Set([...before, ...ourEnis()])
    for (const node of nodes) await this.#tryAnnotate(node, ours)
    this.#parts.onSwept()
    const unknown = nodes.filter(({ instanceID }) => !inventory.isLookedUp(instanceID)).map(({ name }) => name)
    if (unknown.length > 0) throw new Error(`EC2 does not describe the instance types of nodes ${unknown.join(', ')}`)
  }

  #hasUnknownInstances(nodes?: Iterable<NodeFacts>): boolean {
    return this.#relevant(nodes).some(({ instanceID }) => !this.#parts.inventory.isLookedUp(instanceID))
  }

  #relevant(nodes: Iterable<NodeFacts> = this.#parts.nodes.values()): (NodeFacts & { readonly instanceID: string })[] {
    const selectors = [...this.#parts.nodeENIs.values()].map(({ spec }) => spec)
    const wanted: (NodeFacts & { readonly instanceID: string })[] = []
    for (const node of nodes) {
      const { instanceID } = node
      if (instanceID === undefined || !selectors.some((spec) => selectsNode(spec, node.labels))) continue
      wanted.push({ ...node, instanceID })
    }
    return wanted
  }

  /** A node that is just being deleted, or that we may not write, keeps no other from being written. */
  async #tryAnnotate(node: NodeFacts & { readonly instanceID: string }, ours: ReadonlySet<string>): Promise<void> {
    try {
      await this.#annotate(node, ours)
    } catch (error) {
      if (!isNotFound(error)) this.#parts.log.warn({ node: node.name, err: error }, 'ENI capacity of node not written')
    }
  }

  async #annotate(node: NodeFacts & { readonly instanceID: string }, ours: ReadonlySet<string>): Promise<void> {
    const { inventory, refusals, nodeENIs, cluster, log } = this.#parts
    const slots = inventory.capacityOf(node.instanceID, ours)
    if (slots === undefined) return
    const refused = refusals.on(node.instanceID, nodeENIs.values()).slice(0, refusedMax)
    const capacity: NodeCapacity = { ...slots, ...(refused.length > 0 && { refused, bootID: node.bootID }) }
    if (JSON.stringify(capacity) === JSON.stringify(node.capacity)) return
    const body = { metadata: { annotations: { [capacityAnnotation]: JSON.stringify(capacity) } } }
    await cluster.request<V1Node>('PATCH', nodePath(node.name), { as: 'merge', body })
    log.info({ node: node.name, capacity }, 'ENI capacity of node written')
  }
}
