// Decides what happens next to one ENIAttachment: attach it, mark it idle, start its release, or finish that.
import { durationMs } from '../api/duration.ts'
import { type ENIAttachment, isDeleting, isIdle, phaseOf, terminalFailure } from '../api/eni-attachment.ts'
import { deviceFinalizer, eniFinalizer } from '../api/names.ts'
import { attachPolicyOf, type NodeENI, selectsNode } from '../api/node-eni.ts'
import type { EventRecorder } from '../kube/event-recorder.ts'
import type { Informer } from '../kube/informer.ts'
import { isConflict, isNotFound } from '../kube/kube-error.ts'
import type { NodeFacts } from '../kube/objects.ts'
import { type Clock, timestamp } from '../process/clock.ts'
import type { AttachmentStore } from './attachment-store.ts'
import type { Ec2 } from './ec2.ts'
import { isEc2 } from './ec2-error.ts'
import type { EniLifecycle, GivenUp } from './eni-lifecycle.ts'
import type { Inventory } from './inventory.ts'
import type { NodeENIController } from './node-eni-controller.ts'

/** How often a release that waits for a node that may be gone asks EC2 about it. */
const goneCheckMs = 30_000
/** After a lost race the other writer's change comes by the watch; this is only for when it does not. */
const raceMs = 1_000
/** After a start the instances are described within moments. */
const notKnownMs = 250

export interface AttachmentControllerParts {
  readonly store: AttachmentStore
  readonly lifecycle: EniLifecycle
  readonly ec2: Ec2
  readonly nodes: Informer<NodeFacts>
  readonly nodeENIs: Informer<NodeENI>
  readonly inventory: Inventory
  readonly networks: NodeENIController
  readonly events: EventRecorder
  readonly clock: Clock
  /** An attach failed for good: the node may be fuller than its capacity says, and the pod comes back within a second. */
  readonly onGivenUp: () => void
}

export class AttachmentController {
  readonly #parts: AttachmentControllerParts

  constructor(parts: AttachmentControllerParts) {
    this.#parts = parts
  }

  /** Work-queue worker: one pass over one attachment. Answers after how many milliseconds to look again. */
  async reconcile(name: string, signal: AbortSignal): Promise<number | undefined> {
    const attachment = this.#parts.store.get(name)
    if (attachment === undefined) return undefined
    try {
      if (isDeleting(attachment)) return await this.#release(attachment, signal)
      return await this.#serve(attachment, signal)
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return raceMs
      throw error
    }
  }

  async #serve(attachment: ENIAttachment, signal: AbortSignal): Promise<number | undefined> {
    const nodeENI = this.#parts.nodeENIs.get(attachment.spec.nodeENI)
    if (isIdle(attachment)) {
      const againMs = await this.#releaseIfDue(attachment, nodeENI)
      if (againMs !== 'serve') return againMs
    }
    if (nodeENI === undefined || terminalFailure(attachment) !== undefined) return undefined
    if (attachment.status?.eni?.attached !== true) return this.#attach(attachment, nodeENI, signal)
    await this.#refreshPhase(attachment)
    return undefined
  }

  async #attach(attachment: ENIAttachment, nodeENI: NodeENI, signal: AbortSignal): Promise<number | undefined> {
    const { lifecycle, networks } = this.#parts
    try {
      const done = await lifecycle.attach(attachment, nodeENI, () => networks.networkOf(nodeENI), signal)
      if (done === 'wait') return notKnownMs
      if ('reason' in done) return await this.#giveUp(attachment, nodeENI, done)
      this.#event(
        done,
        'Normal',
        'ENIAttached',
        `ENI ${done.status?.eni?.eniID} is attached to node ${done.spec.nodeName}`,
      )
      return isIdle(done) ? 0 : undefined
    } catch (error) {
      if (isEc2(error, 'SubnetExhausted')) return 0
      if (!isEc2(error, 'Configuration')) throw error
      networks.block(nodeENI, error)
      return this.#giveUp(attachment, nodeENI, { reason: error.code, message: error.message })
    }
  }

  /** Ends this try: its pod goes to another node, and what there is of the ENI is released. */
  async #giveUp(attachment: ENIAttachment, nodeENI: NodeENI, { reason, message }: GivenUp): Promise<undefined> {
    const { store, networks, events, clock, onGivenUp } = this.#parts
    const current = store.get(attachment.metadata.name) ?? attachment
    const failure = { reason, message: message.slice(0, 1024), terminal: true, time: timestamp(clock) }
    await store.writeEni(current, { ...current.status?.eni, failure })
    onGivenUp()
    if (isIdle(current)) networks.restOn(current.spec.nodeName, nodeENI)
    events.record(involved(nodeENI), 'Warning', reason, message)
    this.#event(current, 'Warning', reason, message)
    return undefined
  }

  /** 'serve': not due, and there is work to do. A number: look again then. undefined: its release has begun. */
  async #releaseIfDue(attachment: ENIAttachment, nodeENI: NodeENI | undefined): Promise<number | 'serve' | undefined> {
    const { store, clock } = this.#parts
    const failed = terminalFailure(attachment) !== undefined
    if (failed || nodeENI === undefined || !this.#isWanted(attachment, nodeENI)) {
      await store.delete(attachment)
      return undefined
    }
    if (this.#isKept(attachment, nodeENI)) return 'serve'
    if (attachment.status?.eni?.attached !== true) {
      await store.delete(attachment)
      return undefined
    }
    const idleSince = attachment.status.eni.idleSince
    if (idleSince === undefined) {
      await store.writeEni(attachment, { ...attachment.status.eni, idleSince: timestamp(clock) })
      return Math.max(1, durationMs(nodeENI.spec.releaseAfter))
    }
    const leftMs = Date.parse(idleSince) + durationMs(nodeENI.spec.releaseAfter) - clock.now()
    if (leftMs > 0) return leftMs
    await store.delete(attachment)
    return undefined
  }

  /** The NodeENI still wants ENIs on the very instance that this one was made for. */
  #isWanted({ spec }: ENIAttachment, nodeENI: NodeENI): boolean {
    const node = this.#parts.nodes.get(spec.nodeName)
    if (nodeENI.metadata.deletionTimestamp !== undefined || node === undefined) return false
    return node.instanceID === spec.instanceID && selectsNode(nodeENI.spec, node.labels)
  }

  /** Eager ENIs stay; of the idle JustInTime ones the `warm` oldest stay. */
  #isKept(attachment: ENIAttachment, nodeENI: NodeENI): boolean {
    if (attachPolicyOf(nodeENI.spec) === 'Eager') return true
    const idle = this.#parts.store
      .onNode(attachment.spec.nodeName)
      .filter((other) => other.spec.nodeENI === attachment.spec.nodeENI && isIdle(other) && !isDeleting(other))
      .filter((other) => terminalFailure(other) === undefined)
      .map(({ metadata }) => metadata)
      .sort((a, b) => order(a).localeCompare(order(b)))
    return idle.slice(0, nodeENI.spec.warm).some(({ uid }) => uid === attachment.metadata.uid)
  }

  /** idleSince ends with a claim; the phase may be older than what the device plugin wrote. */
  async #refreshPhase(attachment: ENIAttachment): Promise<void> {
    const { eni, phase } = attachment.status ?? {}
    const outdated = !isIdle(attachment) && eni?.idleSince !== undefined
    if (!outdated && phase === phaseOf(attachment)) return
    const { idleSince, ...rest } = eni ?? {}
    await this.#parts.store.writeEni(attachment, outdated || idleSince === undefined ? rest : { ...rest, idleSince })
  }

  async #release(attachment: ENIAttachment, signal: AbortSignal): Promise<number | undefined> {
    const { store, lifecycle } = this.#parts
    const finalizers = attachment.metadata.finalizers ?? []
    if (!finalizers.includes(eniFinalizer)) return undefined
    if (finalizers.includes(deviceFinalizer)) {
      if (!(await this.#isInstanceGone(attachment))) {
        await this.#refreshPhase(attachment)
        return goneCheckMs
      }
      await store.removeFinalizer(attachment, deviceFinalizer)
      return raceMs
    }
    await lifecycle.release(attachment, signal)
    return undefined
  }

  /**
   * Only then may a card be taken without its device plugin having let go of it: nothing was ever on the node for an ENI that
   * EC2 was never asked for, and nothing is on an instance that EC2 calls stopped, terminated or unknown. A node that is there
   * with a running instance is alive as far as we know, whatever its state; EC2 is asked again before anything is taken.
   */
  async #isInstanceGone({ spec, status }: ENIAttachment): Promise<boolean> {
    const { ec2, nodes, inventory } = this.#parts
    if (status?.eni?.plannedTime === undefined) return true
    const isNodeThere = nodes.get(spec.nodeName)?.instanceID === spec.instanceID
    if (isNodeThere && inventory.instance(spec.instanceID)?.state === 'running') return false
    const [instance] = await ec2.describeInstances([spec.instanceID])
    return instance === undefined || instance.state === 'terminated' || instance.state === 'stopped'
  }

  #event(attachment: ENIAttachment, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { events } = this.#parts
    const { claim } = attachment.spec
    events.record(
      { apiVersion: attachment.apiVersion, kind: 'ENIAttachment', ...nameOf(attachment) },
      type,
      reason,
      message,
    )
    if (claim !== undefined) events.record({ apiVersion: 'v1', kind: 'Pod', ...claim }, type, reason, message)
  }
}

function order({ creationTimestamp, name }: ENIAttachment['metadata']): string {
  return `${creationTimestamp} ${name}`
}

function nameOf({ metadata: { name, uid } }: ENIAttachment | NodeENI) {
  return { name, uid }
}

function involved(nodeENI: NodeENI) {
  return { apiVersion: nodeENI.apiVersion, kind: 'NodeENI', ...nameOf(nodeENI) }
}
