// Decides what happens next to one ENIAttachment: attach it, mark it idle, start its release, or finish that.
import { type ENIAttachment, type Failure, isDeleting, isIdle, terminalFailure } from '../api/eni-attachment.ts'
import type { NodeENI } from '../api/node-eni.ts'
import type { Informer } from '../kube/informer.ts'
import { isConflict, isInvalid, isNotFound } from '../kube/kube-error.ts'
import { type Clock, timestamp } from '../process/clock.ts'
import type { AheadEnis } from './ahead-enis.ts'
import type { AttachmentRelease } from './attachment-release.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { consistencyMs } from './ec2.ts'
import { Ec2Error, isEc2, isRightOnEnis } from './ec2-error.ts'
import type { EniAttach } from './eni-attach.ts'
import { lostAdvice } from './eni-create.ts'
import type { GivenUp } from './eni-plan.ts'
import type { EniUpkeep } from './eni-upkeep.ts'
import type { Urgency } from './ec2-limiter.ts'
import type { FailureReport } from './failure-report.ts'
import type { AttacherMetrics } from './metrics.ts'
import type { IdleLimit } from './idle-limit.ts'
import type { InstanceLife } from './instance-life.ts'
import type { Network } from './network.ts'
import type { NodeENIController } from './node-eni-controller.ts'
import { isLeftAlone } from './unreadable-node-eni.ts'
import type { NodeRefusals } from './node-refusals.ts'
import { urgencyOf } from './urgency.ts'

/** How often it is looked what has become of an instance that may be gone. */
const goneCheckMs = 30_000
/** Lost so often in a row, it is no race but an object that the API server does not take. */
const racesMax = 5
/** After a lost race the other writer's change comes by the watch; this is only for when it does not. */
const raceMs = 1_000
/** After a start the instances are described within moments. */
const notKnownMs = 250
/** Our watch of NodeENIs may be behind the one in which the extender saw the NodeENI of an intent. */
const watchLagMs = 10_000

export interface AttachmentControllerParts {
  readonly store: AttachmentStore
  readonly eniAttach: EniAttach
  readonly attachmentRelease: AttachmentRelease
  readonly eniUpkeep: EniUpkeep
  readonly life: InstanceLife
  readonly idleLimit: IdleLimit
  readonly nodeENIs: Informer<NodeENI>
  readonly refusals: NodeRefusals
  readonly nodeENIController: NodeENIController
  readonly aheadEnis: AheadEnis
  readonly report: FailureReport
  readonly metrics: AttacherMetrics
  readonly clock: Clock
  /** A try ended for good: the node can do less than its annotation says, and the pod comes back within a second. */
  readonly onGivenUp: () => void
}

export class AttachmentController {
  readonly #parts: AttachmentControllerParts
  /** Lost in a row, by attachment. */
  readonly #races = new Map<string, number>()
  /** What is being done for an attachment, to be ended when it is not needed any more, or is needed more. */
  readonly #serving = new Map<string, AbortController>()

  constructor(parts: AttachmentControllerParts) {
    this.#parts = parts
  }

  /** Somebody has changed it. */
  changed(name: string, after: ENIAttachment | undefined, before: ENIAttachment | undefined): void {
    const isAnother = after?.metadata.uid !== before?.metadata.uid
    if (isAnother || needOf(after) !== needOf(before)) this.#serving.get(name)?.abort()
  }

  /** Work-queue worker: one pass over one attachment. Answers after how many milliseconds to look again. */
  async reconcile(name: string, signal: AbortSignal): Promise<number | undefined> {
    const attachment = this.#parts.store.get(name)
    if (attachment === undefined) {
      this.#settled(name)
      this.#parts.eniUpkeep.forget(name)
      return undefined
    }
    try {
      const againMs = await (isDeleting(attachment)
        ? this.#parts.attachmentRelease.release(attachment, signal)
        : this.#serveWhileNeeded(attachment, signal))
      this.#settled(name)
      return againMs
    } catch (error) {
      const isRace = isConflict(error) || isNotFound(error) || isInvalid(error)
      if (isRace && (this.#races.get(name) ?? 0) < racesMax) return this.#afterRaceMs(name)
      this.#parts.nodeENIController.noteStep(name, error)
      if (error instanceof Ec2Error) this.#parts.metrics.stepFailed(error)
      if (!signal.aborted && error instanceof Error) await this.#parts.report.note(name, error)
      throw error
    }
  }

  #settled(name: string): void {
    this.#races.delete(name)
    this.#parts.nodeENIController.noteStep(name, undefined)
  }

  /** Ever longer: while the watch is broken the other writer's change does not come. */
  #afterRaceMs(name: string): number {
    const races = this.#races.get(name) ?? 0
    this.#races.set(name, races + 1)
    return Math.min(raceMs * 2 ** races, goneCheckMs)
  }

  /** Begins anew when the need for it changes on the way: no call that waits for its turn is made for a pod that has gone. */
  async #serveWhileNeeded(attachment: ENIAttachment, signal: AbortSignal): Promise<number | undefined> {
    const { name } = attachment.metadata
    const isOver = new AbortController()
    this.#serving.set(name, isOver)
    try {
      return await this.#serve(attachment, AbortSignal.any([signal, isOver.signal]))
    } catch (error) {
      if (isOver.signal.aborted && !signal.aborted) return 0
      throw error
    } finally {
      this.#serving.delete(name)
    }
  }

  async #serve(attachment: ENIAttachment, signal: AbortSignal): Promise<number | undefined> {
    const { store, nodeENIs, life, idleLimit, refusals } = this.#parts
    const nodeENI = nodeENIs.get(attachment.spec.nodeENI)
    const failure = attachment.status?.device?.failure
    if (failure?.terminal === true && nodeENI !== undefined) this.#refuseNode(attachment, nodeENI, failure)
    refusals.worked(attachment)
    // What an unreadable NodeENI wants is not known: that is no reason to take anything away.
    const isLeft = isLeftAlone(nodeENIs, attachment.spec.nodeENI) && terminalFailure(attachment) === undefined
    const leftMs = isIdle(attachment) && !isLeft ? idleLimit.leftMs(attachment, nodeENI) : Infinity
    const state = leftMs > 0 && life.mayBeOver(attachment.spec) ? await life.state(attachment.spec) : 'running'
    if (leftMs === 0 || state === 'terminated') {
      // Nobody is left on a node that has ended to say that its pods are gone. (A stopped instance gets its pods back.)
      await store.delete(attachment)
      return undefined
    }
    if (state === 'shutting-down') return goneCheckMs
    if (isIdle(attachment) && isLeft) return state === 'running' ? undefined : goneCheckMs
    if (isIdle(attachment)) await this.#noteIdle(attachment, leftMs)
    const againMs = await this.#advance(store.latest(attachment), nodeENI, signal)
    return finite(Math.min(leftMs, againMs ?? (state === 'running' ? Infinity : goneCheckMs)))
  }

  async #advance(
    attachment: ENIAttachment,
    nodeENI: NodeENI | undefined,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const isAttached = attachment.status?.eni?.attached === true
    if (terminalFailure(attachment) !== undefined) return undefined
    if (nodeENI === undefined) return isAttached ? undefined : this.#missNodeENI(attachment)
    if (!isAttached) return this.#attach(attachment, nodeENI, signal)
    await this.#parts.store.refreshPhase(attachment)
    return this.#keep(this.#parts.store.latest(attachment), nodeENI, signal)
  }

  /** What somebody else did to the ENI is put right, except where that would take it from an instance. */
  async #keep(attachment: ENIAttachment, nodeENI: NodeENI, signal: AbortSignal): Promise<number | undefined> {
    const { eniUpkeep, store, report } = this.#parts
    const { eniID, attached: _, attachmentID: __, ...eni } = attachment.status?.eni ?? {}
    const fate = await eniUpkeep.keep(attachment, nodeENI, () => this.#networkIfKnown(nodeENI), signal)
    if (typeof fate === 'object') {
      if (fate.error !== undefined) await report.note(attachment.metadata.name, fate.error)
      return fate.againMs
    }
    switch (fate) {
      case 'kept':
        await this.#forgetNote(attachment)
        return undefined
      case 'detached': {
        const message = `ENI ${eniID} was detached by somebody else; it is being attached again`
        report.tell(attachment, nodeENI, { reason: 'ENIDetached', message })
        await store.writeEni(attachment, { ...eni, ...(eniID !== undefined && { eniID }) })
        return 0
      }
      case 'ending':
        return goneCheckMs
      case 'missing':
        return consistencyMs
      case 'gone': {
        const message = `ENI ${eniID} was deleted by somebody else; ${lostAdvice}`
        return this.#giveUp(attachment, nodeENI, { reason: 'ENILost', message })
      }
      case 'moved': {
        const message = `ENI ${eniID} was attached to another instance by somebody else; it is left alone there`
        return this.#giveUp(attachment, nodeENI, { reason: 'ENIMoved', message })
      }
    }
  }

  /** Trouble with it is told of the NodeENI, not of an ENI that works. */
  async #networkIfKnown(nodeENI: NodeENI): Promise<Network | undefined> {
    try {
      const network = await this.#parts.nodeENIController.networkOf(nodeENI)
      return network === undefined || 'reason' in network ? undefined : network
    } catch (error) {
      if (error instanceof Ec2Error) return undefined
      throw error
    }
  }

  /** Of a try that failed, once the ENI is as it should be. */
  async #forgetNote(attachment: ENIAttachment): Promise<void> {
    const { failure, ...eni } = attachment.status?.eni ?? {}
    if (failure !== undefined) await this.#parts.store.writeEni(attachment, eni)
  }

  async #missNodeENI(attachment: ENIAttachment): Promise<number | undefined> {
    const ageMs = this.#parts.clock.now() - Date.parse(attachment.metadata.creationTimestamp ?? '')
    if (ageMs < watchLagMs) return raceMs
    const { nodeENI: name } = attachment.spec
    if (isLeftAlone(this.#parts.nodeENIs, name)) {
      const message = `NodeENI ${name} cannot be read: see its condition Ready`
      return this.#giveUp(attachment, undefined, { reason: 'NodeENIInvalid', message })
    }
    const message = `there is no NodeENI ${name} any more`
    return this.#giveUp(attachment, undefined, { reason: 'NodeENINotFound', message })
  }

  async #attach(attachment: ENIAttachment, nodeENI: NodeENI, signal: AbortSignal): Promise<number | undefined> {
    const { eniAttach, refusals, nodeENIController, report, metrics } = this.#parts
    const { nodeName, instanceID } = attachment.spec
    const reason = refusals.reasonAgainst(instanceID, nodeENI)
    if (reason !== undefined && attachment.status?.eni?.eniID === undefined) {
      const message = `ENIs of NodeENI ${nodeENI.metadata.name} cannot be used on node ${nodeName}: ${reason}`
      return this.#giveUp(attachment, nodeENI, { reason, message })
    }
    try {
      const networkOf = () => nodeENIController.networkOf(nodeENI, 'making an ENI')
      const done = await eniAttach.attach(attachment, nodeENI, networkOf, signal)
      if (done === 'wait') return this.#awaitInstances()
      if ('reason' in done) {
        // There seemed to be room: another ENI would be made, refused by the instance, and deleted, and so on.
        if (done.isOfInstance === true) refusals.addOfEC2(attachment, nodeENI, done.reason)
        return await this.#giveUp(attachment, nodeENI, done)
      }
      nodeENIController.unblock(nodeENI)
      // Attached again, it would count since its creation.
      if (attachment.status?.eni?.attachedTime === undefined) metrics.observeSteps(done)
      report.event(done, 'Normal', 'ENIAttached', `ENI ${done.status?.eni?.eniID} is attached to node ${nodeName}`)
      return isIdle(done) ? 0 : undefined
    } catch (error) {
      if (isEc2(error, 'SubnetExhausted')) return 0
      if (!isEc2(error, 'Configuration') || error === nodeENIController.trouble) throw error
      this.#blame(attachment, nodeENI, error)
      // A pod that runs goes nowhere else: what is left to do is done when EC2 allows it.
      if (this.#parts.store.isHeld(attachment)) throw error
      return this.#giveUp(attachment, nodeENI, { reason: error.code, message: error.message })
    }
  }

  /** @throws Ec2Error: why EC2 does not say what the instances are, for the pod that waits for that. */
  #awaitInstances(): number {
    const { trouble } = this.#parts.nodeENIController
    if (trouble !== undefined) throw trouble
    return notKnownMs
  }

  /** What EC2 says against an attach may be true of this instance only, all else is of the NodeENI or the account. */
  #blame(attachment: ENIAttachment, nodeENI: NodeENI, error: Ec2Error): void {
    const { refusals, nodeENIController } = this.#parts
    if (error.action === 'AttachNetworkInterface' && !isRightOnEnis(error))
      refusals.addOfEC2(attachment, nodeENI, error.code)
    else nodeENIController.block(nodeENI, error)
  }

  /** The device plugin cannot use the ENI: its release follows, and no other is made on this node. */
  #refuseNode(attachment: ENIAttachment, nodeENI: NodeENI, failure: Failure): void {
    const { refusals, report, onGivenUp } = this.#parts
    const { reason, message, observedGeneration } = failure
    if (!refusals.add(attachment, nodeENI, reason, observedGeneration)) return
    onGivenUp()
    report.tell(attachment, nodeENI, { reason, message: `node ${attachment.spec.nodeName}: ${message}` })
  }

  /** Ends this try: its pod goes to another node, and what there is of the ENI is released. */
  async #giveUp(attachment: ENIAttachment, nodeENI: NodeENI | undefined, failed: GivenUp): Promise<undefined> {
    const { store, aheadEnis, report, onGivenUp } = this.#parts
    const { reason, message } = failed
    const current = store.latest(attachment)
    await report.write(current, { reason, message, terminal: true })
    onGivenUp()
    if (isIdle(current) && nodeENI !== undefined) aheadEnis.restOn(current.spec.nodeName, nodeENI, failed)
    report.tell(current, nodeENI, failed)
    return undefined
  }

  /** An idle ENI that is kept for a while notes since when. */
  async #noteIdle(attachment: ENIAttachment, leftMs: number): Promise<void> {
    const { eni } = attachment.status ?? {}
    if (leftMs === Infinity || eni?.attached !== true || eni.idleSince !== undefined) return
    await this.#parts.store.writeEni(attachment, { ...eni, idleSince: timestamp(this.#parts.clock) })
  }
}

/** For whom it is to be attached. */
function needOf(attachment: ENIAttachment | undefined): Urgency | undefined {
  return attachment === undefined || isDeleting(attachment) ? undefined : urgencyOf(attachment)
}

function finite(ms: number): number | undefined {
  return ms === Infinity ? undefined : ms
}
