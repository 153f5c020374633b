// One NodeENI: is it usable, and why not (condition Ready); its counts; the ENIs that it wants ahead of pods; its end.
import { isDeepStrictEqual } from 'node:util'

import { isDeleting, terminalFailure } from '../api/eni-attachment.ts'
import { apiVersion, nodeENIFinalizer } from '../api/names.ts'
import type { NodeENI, NodeENIStatus } from '../api/node-eni.ts'
import type { KubeClient } from '../kube/cluster.ts'
import type { EventRecorder } from '../kube/event-recorder.ts'
import type { Informer } from '../kube/informer.ts'
import { type Clock, timestamp } from '../process/clock.ts'
import type { AheadEnis } from './ahead-enis.ts'
import type { AttachmentStore } from './attachment-store.ts'
import type { ChangeRefusals } from './change-refusals.ts'
import { Ec2Error, isEc2 } from './ec2-error.ts'
import { addressesOf, type Need, type Network, type Networks } from './network.ts'
import type { NodeRefusals } from './node-refusals.ts'
import { conditionsFor, isNews, type Problem, problemFrom, releasing } from './node-eni-conditions.ts'
import { hold, letGo, writeStatus } from './node-eni-writes.ts'
import { zoneProblem } from './node-eni-problem.ts'
import type { UnreadableNodeENI } from './unreadable-node-eni.ts'
import type { SelectedNodes } from './selected-nodes.ts'

/** An ENI is asked for again 10 s after EC2 refused one, then ever more rarely; a change of the NodeENI ends the wait. */
const firstBlockMs = 10_000
const lastBlockMs = 5 * 60_000
const recheckMs = 60_000
/** Costs no EC2 call while the answer of before is still good (network.ts). */
const problemRecheckMs = 5_000

interface Block extends Problem {
  readonly generation: number | undefined
  readonly times: number
  readonly untilMs: number
}

export interface NodeENIControllerParts {
  readonly cluster: KubeClient
  readonly store: AttachmentStore
  readonly nodeENIs: Informer<NodeENI>
  readonly selectedNodes: SelectedNodes
  readonly networks: Networks
  readonly aheadEnis: AheadEnis
  readonly unreadableNodeENI: UnreadableNodeENI
  readonly refusals: NodeRefusals
  readonly changeRefusals: ChangeRefusals
  readonly managed: ReadonlySet<string>
  readonly events: EventRecorder
  readonly clock: Clock
  /** Nodes may serve the NodeENI again. */
  readonly onRefusalEnded: () => void
  /** Why EC2 does not answer. */
  readonly trouble: () => Ec2Error | undefined
}

export class NodeENIController {
  readonly #parts: NodeENIControllerParts
  readonly #blocks = new Map<string, Block>()
  /** Steps that EC2 does not do, by the ENIAttachment that waits for them. */
  readonly #undone = new Map<string, Ec2Error>()

  constructor(parts: NodeENIControllerParts) {
    this.#parts = parts
  }

  /** Why EC2 does not say what the instances are. */
  get trouble(): Ec2Error | undefined {
    return this.#parts.trouble()
  }

  /** How the last step of an ENI ended, if EC2 did not do it: it is tried again, and the condition EC2Available tells of it. */
  noteStep(attachmentName: string, error: unknown): void {
    if (isEc2(error, 'Configuration', 'Credentials', 'Throttled', 'Retry')) this.#undone.set(attachmentName, error)
    else this.#undone.delete(attachmentName)
  }

  /** EC2 refused an ENI because of what this NodeENI (or the account) says: no new try before the block ends. */
  block({ metadata }: NodeENI, error: Ec2Error): void {
    this.#parts.networks.forget()
    this.#setBlock(metadata.name, metadata.generation, problemFrom(error))
  }

  /** An ENI of it was made: what EC2 had against it is over. */
  unblock({ metadata }: NodeENI): void {
    this.#blocks.delete(metadata.name)
  }

  /**
   * The subnets and groups to make an ENI with, or what stands against it; undefined while no instance is known yet, as after a
   * start. @throws Ec2Error
   */
  async networkOf(nodeENI: NodeENI, need: Need = 'resting'): Promise<Network | Problem | undefined> {
    const block = this.#blocks.get(nodeENI.metadata.name)
    if (
      block !== undefined &&
      block.generation === nodeENI.metadata.generation &&
      block.untilMs > this.#parts.clock.now()
    ) {
      return { reason: block.reason, message: block.message }
    }
    const { selectedNodes, networks, managed } = this.#parts
    const { spec } = nodeENI
    if (spec.dpdkResourceName !== undefined && !managed.has(spec.dpdkResourceName)) {
      return {
        reason: 'ResourceNotManaged',
        message: `${spec.dpdkResourceName} is not among the managed resources (${[...managed].join(', ')}); add it to the setting "resources"`,
      }
    }
    const { conflict, vpc, zones, indexProblem } = selectedNodes.of(nodeENI)
    if (conflict !== undefined) return { reason: 'ResourceConflict', message: conflict }
    if (typeof vpc !== 'string') return vpc
    const network = await networks.find(spec, vpc, need)
    if ('reason' in network) return network
    return zoneProblem(network, zones) ?? indexProblem ?? network
  }

  /** Work-queue worker. */
  async reconcile(name: string): Promise<number | undefined> {
    const { cluster, nodeENIs, refusals, changeRefusals, aheadEnis, onRefusalEnded } = this.#parts
    const nodeENI = nodeENIs.get(name)
    const unreadable = nodeENIs.unreadable.get(name)
    if (unreadable !== undefined) return this.#parts.unreadableNodeENI.reconcile(unreadable)
    if (nodeENI === undefined) {
      this.#blocks.delete(name)
      changeRefusals.forget(name)
      aheadEnis.forget(name)
      return undefined
    }
    if (refusals.haveEnded(nodeENI)) onRefusalEnded()
    if (nodeENI.metadata.deletionTimestamp !== undefined) return this.#finish(nodeENI)
    if (!nodeENI.metadata.finalizers?.includes(nodeENIFinalizer)) {
      await hold(cluster, nodeENI.metadata)
      return undefined
    }
    try {
      const network = (await this.networkOf(nodeENI)) ?? (this.trouble && problemFrom(this.trouble))
      // The sweep that gets to know the instances asks for this again.
      if (network === undefined) return undefined
      await this.#writeStatus(nodeENI, network)
      if (!('reason' in network)) await aheadEnis.create(nodeENI, network)
      return Math.min('reason' in network ? problemRecheckMs : recheckMs, refusals.endsInMs(nodeENI))
    } catch (error) {
      if (error instanceof Ec2Error) await this.#writeUnanswered(nodeENI, error)
      throw error
    }
  }

  /** Rights that are missing, say, make it unusable. While EC2 does not answer, what was found before may still be so. */
  async #writeUnanswered(nodeENI: NodeENI, error: Ec2Error): Promise<void> {
    if (isEc2(error, 'Configuration', 'Credentials')) await this.#writeStatus(nodeENI, problemFrom(error))
    else await this.#writeStatus(nodeENI, undefined, error)
  }

  /** The NodeENI stays until its last ENI is gone; attachment-controller releases them, each when its pod ends. */
  async #finish(nodeENI: NodeENI): Promise<number | undefined> {
    const { metadata } = nodeENI
    const left = this.#parts.store.ofNodeENI(metadata.name).length
    const unreadable = this.#parts.store.unreadable()
    if (left > 0 || unreadable.length > 0) {
      await this.#writeStatus(nodeENI, releasing(left, unreadable))
      return recheckMs
    }
    await letGo(this.#parts.cluster, metadata)
    return undefined
  }

  /** `network` is undefined while EC2 does not say; `unanswered` is what it was asked for. */
  async #writeStatus(nodeENI: NodeENI, network: Network | Problem | undefined, unanswered?: Ec2Error): Promise<void> {
    const { cluster, events, networks, refusals, changeRefusals, aheadEnis, clock } = this.#parts
    const attachments = this.#parts.store.ofNodeENI(nodeENI.metadata.name)
    const trouble = this.#trouble(nodeENI) ?? unanswered
    const conditions = conditionsFor({
      nodeENI,
      network,
      trouble,
      attachments,
      refused: changeRefusals.of(nodeENI),
      shortages: network === undefined || 'reason' in network ? undefined : aheadEnis.shortages(nodeENI, network),
      refusing: refusals.nodesRefusing(nodeENI),
      now: timestamp(clock),
    })
    const status: NodeENIStatus = {
      observedGeneration: nodeENI.metadata.generation,
      conditions,
      ...this.#counts(nodeENI.metadata.name),
      // What was found stays readable while something else is wrong: the extender says which zones have a subnet.
      subnets:
        network === undefined || 'reason' in network
          ? (nodeENI.status?.subnets ?? [])
          : network.subnets.map((subnet) => ({
              subnetID: subnet.id,
              availabilityZone: subnet.zone,
              cidr: subnet.cidr,
              exhausted: networks.isExhausted(subnet, addressesOf(nodeENI)),
            })),
    }
    if (isSame(status, nodeENI.status)) return
    const { name, uid } = nodeENI.metadata
    await writeStatus(cluster, name, status)
    for (const condition of conditions) {
      const before = nodeENI.status?.conditions?.find(({ type }) => type === condition.type)
      if (!isNews(condition, before)) continue
      const type = condition.status === 'True' || condition.reason === 'Releasing' ? 'Normal' : 'Warning'
      events.record({ apiVersion, kind: 'NodeENI', name, uid }, type, condition.reason, condition.message)
    }
  }

  /** Also of a step that one of its ENIs waits for. */
  #trouble({ metadata }: NodeENI): Ec2Error | undefined {
    const ofEnis = this.#parts.store.ofNodeENI(metadata.name).map((one) => this.#undone.get(one.metadata.name))
    return this.#parts.trouble() ?? ofEnis.find((error) => error !== undefined)
  }

  #counts(name: string): { attached: number; ready: number; inUse: number } {
    const live = this.#parts.store.ofNodeENI(name).filter((a) => !isDeleting(a) && terminalFailure(a) === undefined)
    return {
      attached: live.filter(({ status }) => status?.eni?.attached === true).length,
      ready: live.filter(({ status }) => status?.device?.advertised === true).length,
      inUse: live.filter(({ status }) => status?.device?.inUseBy !== undefined).length,
    }
  }

  #setBlock(name: string, generation: number | undefined, problem: Problem): void {
    const before = this.#blocks.get(name)
    // Of many that were refused at the same time only one counts.
    if (before?.generation === generation && (before?.untilMs ?? 0) > this.#parts.clock.now()) return
    const times = before?.generation === generation ? (before?.times ?? 0) : 0
    const untilMs = this.#parts.clock.now() + Math.min(firstBlockMs * 2 ** times, lastBlockMs)
    this.#blocks.set(name, { ...problem, generation, times: times + 1, untilMs })
  }
}

function isSame(a: NodeENIStatus, b: NodeENIStatus | undefined): boolean {
  const { attachments: _, ...rest } = b ?? {}
  return isDeepStrictEqual(inOrder(a), inOrder(rest))
}

/** The API server keeps conditions in the order in which they first came. */
function inOrder({ conditions = [], ...status }: NodeENIStatus): NodeENIStatus {
  return { ...status, conditions: conditions.toSorted((a, b) => (a.type < b.type ? -1 : 1)) }
}
