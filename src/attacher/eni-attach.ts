// How an intent becomes an attached ENI: planned and created (eni-create.ts), attached, settled. Every step is stored or idempotent, so
// that a crash between any two of them is repaired by going through them again. eni-release.ts is the way back.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { NodeENI } from '../api/node-eni.ts'
import { type Clock, sleep, timestamp } from '../process/clock.ts'
import { KeyMutex } from '../process/key-mutex.ts'
import type { Log } from '../process/log.ts'
import type { Absences } from './absences.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { consistencyMs, type Ec2Access, type Eni, settleDeadlineMs } from './ec2.ts'
import { Ec2Error, isEc2, isMaybeTooNew } from './ec2-error.ts'
import { EniCreate, eniStatusOf, type Made } from './eni-create.ts'
import type { EniPlacement } from './eni-placement.ts'
import type { GivenUp } from './eni-plan.ts'
import { type EniWatch, lookOf } from './eni-watch.ts'
import type { Network, Networks } from './network.ts'
import type { Slot } from './slot-map.ts'
import { urgencyOf } from './urgency.ts'

/** Beyond this many taken indexes in a row the node is not what we think it is. */
const indexTriesMax = 5
/** An ENI that a describe shows may be unknown to the next call all the same. */
const stillUnknownMs = 250
const stillUnknownMaxMs = 2_000
/** A right that is missing looks like a tag that IAM does not know yet: who waits for longer than this has to hear of it. */
const silentMs = 15_000

export interface EniAttachParts {
  /** A call whose signal aborts before its turn has come is not made. */
  readonly ec2: Ec2Access
  readonly watch: EniWatch
  readonly store: AttachmentStore
  readonly placement: EniPlacement
  readonly networks: Networks
  readonly absences: Absences
  readonly clusterName: string
  readonly clock: Clock
  readonly log: Log
}

export class EniAttach {
  readonly #parts: EniAttachParts
  /** Two plans for one instance at the same time would choose the same device index. */
  readonly #planning = new KeyMutex()
  readonly #create: EniCreate

  constructor(parts: EniAttachParts) {
    this.#parts = parts
    this.#create = new EniCreate({ ...parts, planning: this.#planning })
  }

  /**
   * Takes the intent to an attached ENI. `networkOf` is asked only while there is no ENI yet: what is wrong with a NodeENI now
   * must not end what was made before. 'wait': it does not know yet. @throws Ec2Error or KubeError to be tried again.
   */
  async attach(
    intent: ENIAttachment,
    nodeENI: NodeENI,
    networkOf: () => Promise<Network | GivenUp | undefined>,
    signal: AbortSignal,
  ): Promise<ENIAttachment | GivenUp | 'wait'> {
    let attachment = intent
    if (attachment.status?.eni?.attachmentID === undefined) {
      const made = await this.#create.make(attachment, nodeENI, networkOf, signal)
      if (made === 'wait' || 'reason' in made) return made
      signal.throwIfAborted()
      const attached = await this.#attachToInstance(made, nodeENI, signal)
      if ('reason' in attached) return attached
      attachment = attached
    }
    return attachment.status?.eni?.attached === true ? attachment : this.#settle(attachment, nodeENI, signal)
  }

  async #attachToInstance(made: Made, nodeENI: NodeENI, signal: AbortSignal): Promise<ENIAttachment | GivenUp> {
    const { store, clock } = this.#parts
    if (made.eni.attachment !== undefined) return this.#adoptAttachment(made)
    let { attachment } = made
    const ec2 = this.#parts.ec2(urgencyOf(attachment), signal)
    const { instanceID } = attachment.spec
    // Before the attach: a pod may run as soon as the card is there, whatever EC2 says of the attachment.
    if (made.eni.sourceDestCheck !== nodeENI.spec.sourceDestCheck)
      await this.#onceKnown(attachment, signal, () => ec2.setSourceDestCheck(made.eni.id, nodeENI.spec.sourceDestCheck))
    const taken: Slot[] = []
    while (taken.length < indexTriesMax) {
      signal.throwIfAborted()
      const eni = eniStatusOf(attachment)
      const { eniID = '', deviceIndex = 0, networkCard = 0 } = eni
      const attachCalledTime = timestamp(clock)
      try {
        const attachmentID = await this.#onceKnown(attachment, signal, () =>
          ec2.attachEni(eniID, instanceID, deviceIndex, networkCard),
        )
        return await store.writeEni(attachment, { ...eni, attachmentID, attachCalledTime })
      } catch (error) {
        if (!isEc2(error, 'IndexTaken', 'EniInUse', 'NodeFull', 'InstanceNotRunning')) throw error
        // After a call whose answer was lost, what stands in the way may be our own ENI.
        const now = await this.#create.find(attachment, signal)
        if ('reason' in now) return now
        if (now.attachment !== undefined) return this.#adoptAttachment({ attachment, eni: now })
        if (isEc2(error, 'NodeFull', 'InstanceNotRunning')) return this.#refused(attachment, error.code, error.message)
        if (isEc2(error, 'EniInUse')) throw error
      }
      taken.push({ networkCard, deviceIndex })
      const next = await this.#nextSlot(attachment, nodeENI, taken)
      if ('reason' in next) return next
      attachment = next
    }
    const message = `instance ${instanceID}: ${indexTriesMax} device indexes in a row were taken`
    return this.#refused(attachment, 'NoFreeDeviceIndex', message)
  }

  /** Stored, as every plan is, before another ENI of this instance is planned. */
  #nextSlot(created: ENIAttachment, nodeENI: NodeENI, taken: readonly Slot[]): Promise<ENIAttachment | GivenUp> {
    const { store, placement } = this.#parts
    const { instanceID, nodeName } = created.spec
    return this.#planning.run(instanceID, async () => {
      const slot = await placement.nextSlot(created, nodeENI, taken)
      if (slot !== undefined) return store.writeEni(created, { ...eniStatusOf(created), ...slot })
      const message = `instance ${instanceID} of node ${nodeName} has no free device index; add nodes, or use a type that takes more ENIs`
      return this.#refused(created, 'NodeFull', message)
    })
  }

  /** Mostly EC2 knows at once what it has made, and IAM its tags; where not, it is asked again when it shows the ENI. */
  async #onceKnown<T>(attachment: ENIAttachment, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    const { watch, clock } = this.#parts
    const { eniID = '', createdTime } = eniStatusOf(attachment)
    const isNew = () => this.#ageMs(createdTime) < consistencyMs
    const startedAt = clock.monotonic()
    for (let pauseMs = stillUnknownMs; ; pauseMs = Math.min(pauseMs * 2, stillUnknownMaxMs)) {
      try {
        return await call()
      } catch (error) {
        if (!isMaybeTooNew(error) || !isNew()) throw error
        if (clock.monotonic() - startedAt > silentMs)
          throw new Ec2Error(error.action, 'Retry', error.code, error.detail, error)
        await watch.until(eniID, (seen) => seen !== undefined || !isNew(), lookOf(attachment, signal))
        // What describes it may know it before what attaches it.
        await sleep(clock, pauseMs, signal)
        signal.throwIfAborted()
      }
    }
  }

  async #adoptAttachment({ attachment, eni }: Made): Promise<ENIAttachment | GivenUp> {
    const { store, clock } = this.#parts
    const { id: attachmentID, instanceID, networkCard, deviceIndex, status } = eni.attachment ?? {}
    if (status === 'detaching') throw new Error(`ENI ${eni.id} is still being detached by somebody else, looking again`)
    if (attachmentID === undefined || instanceID !== attachment.spec.instanceID)
      return { reason: 'ENIMoved', message: `ENI ${eni.id} was attached to ${instanceID} by somebody else` }
    const place = { networkCard: networkCard ?? 0, deviceIndex: deviceIndex ?? 0 }
    const attachCalledTime = timestamp(clock)
    return store.writeEni(attachment, { ...eniStatusOf(attachment), ...place, attachmentID, attachCalledTime })
  }

  /** Waits for `attached`, and makes what belongs to the attachment as the NodeENI says. */
  async #settle(attaching: ENIAttachment, nodeENI: NodeENI, signal: AbortSignal): Promise<ENIAttachment | GivenUp> {
    const { spec } = nodeENI
    const { watch, store, absences, clock, log } = this.#parts
    const { eniID = '', attachmentID = '', attachCalledTime } = eniStatusOf(attaching)
    const isOver = (now: Eni | undefined) => {
      const isGone = absences.isGone(attachmentID, now?.attachment)
      if (now?.attachment === undefined) return isGone
      if (now.attachment.id !== attachmentID) return true
      return now.attachment.status === 'attached' || this.#ageMs(attachCalledTime) > settleDeadlineMs
    }
    const seen = await watch.until(eniID, isOver, lookOf(attaching, signal))
    if (seen !== undefined && seen.attachment === undefined && store.isHeld(attaching)) {
      const { attachmentID: _, ...detached } = eniStatusOf(attaching)
      await store.writeEni(attaching, detached)
      throw new Error(`ENI ${eniID} was detached by somebody else, attaching it again`)
    }
    if (seen?.attachment === undefined) {
      return {
        reason: 'ENILost',
        message: `ENI ${eniID} was detached or deleted by somebody else; its pod gets another`,
      }
    }
    if (seen.attachment.id !== attachmentID) {
      const adopted = await this.#adoptAttachment({ attachment: attaching, eni: seen })
      return 'reason' in adopted ? adopted : this.#settle(adopted, nodeENI, signal)
    }
    if (seen.attachment.status !== 'attached') {
      const state = `is still ${seen.attachment.status} ${settleDeadlineMs / 60_000} minutes after the attach`
      const advice = 'if that comes again, replace the node'
      const message = `ENI ${eniID} ${state} to instance ${attaching.spec.instanceID}; ${advice}`
      return { reason: 'AttachStuck', message, isOfInstance: true }
    }
    if (seen.attachment.deleteOnTermination !== spec.deleteOnTermination) {
      signal.throwIfAborted()
      // The pod runs as soon as it has its card. The sourceDestCheck of other ENIs, for which pods wait, draws on the same bucket.
      const ec2 = this.#parts.ec2('ahead', signal)
      const { id } = seen.attachment
      await this.#onceKnown(attaching, signal, () => ec2.setDeleteOnTermination(seen.id, id, spec.deleteOnTermination))
    }
    log.info({ attachment: attaching.metadata.name, node: attaching.spec.nodeName, eni: seen.id }, 'ENI attached')
    const current = store.latest(attaching)
    return store.writeEni(current, { ...eniStatusOf(current), attached: true, attachedTime: timestamp(clock) })
  }

  /** @throws Error, to be tried again, when somebody has detached it from under its pod: no other place would do. */
  #refused(attachment: ENIAttachment, reason: string, message: string): GivenUp {
    if (this.#parts.store.isHeld(attachment))
      throw new Error(`${message}; its pod has lost the card until then, trying again`)
    return { reason, message, isOfInstance: true }
  }

  /** NaN when the time is not known, and so neither less nor more than anything. */
  #ageMs(time: string | undefined): number {
    return this.#parts.clock.now() - Date.parse(time ?? '')
  }
}
