// How an ENI goes: detached and deleted in EC2, then its object is let go. Every step is idempotent, so that a crash between any two
// of them is repaired by going through them again.
import { type ENIAttachment } from '../api/eni-attachment.ts'
import { eniFinalizer, forceDetachAnnotation } from '../api/names.ts'
import { type Clock, sleep } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { Absences } from './absences.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { consistencyMs, type Ec2, type Eni, type EniAttachmentFacts, settleDeadlineMs } from './ec2.ts'
import { isEc2, isMaybeTooNew } from './ec2-error.ts'
import { type EniWatch, lookOf } from './eni-watch.ts'
import type { InstanceLife } from './instance-life.ts'
import { ourEnis, tryOf } from './our-enis.ts'

/** What one call shows another may not know yet. */
const lookAgainMs = 5_000
/** An instance takes minutes to end. */
const endingMs = 30_000

export interface EniReleaseParts {
  readonly ec2: Ec2
  readonly watch: EniWatch
  readonly store: AttachmentStore
  readonly life: InstanceLife
  readonly absences: Absences
  readonly clock: Clock
  readonly log: Log
}

export class EniRelease {
  readonly #parts: EniReleaseParts

  constructor(parts: EniReleaseParts) {
    this.#parts = parts
  }

  /**
   * The device plugin has let go of the card before. Forced only when somebody has asked for that, or when the instance is gone.
   * @returns after how many milliseconds to look again. @throws Ec2Error or KubeError to be tried again.
   */
  async release(attachment: ENIAttachment, signal: AbortSignal): Promise<number | undefined> {
    try {
      return await this.#release(attachment, signal)
    } catch (error) {
      const ageMs = this.#parts.clock.now() - Date.parse(attachment.status?.eni?.createdTime ?? '')
      if (isMaybeTooNew(error) && ageMs < consistencyMs) return lookAgainMs
      throw error
    }
  }

  async #release(attachment: ENIAttachment, signal: AbortSignal): Promise<number | undefined> {
    const { store, watch, absences, log } = this.#parts
    const { name } = attachment.metadata
    const seen = await ourEnis(watch, attachment, lookOf(attachment, signal, 'release'))
    const isGone = absences.isGone(tryOf(attachment), seen[0])
    for (const found of seen) {
      signal.throwIfAborted()
      if (found.attachment !== undefined) {
        const isForced = isForcedBy(attachment)
        if (!isForced && (await this.#isLeftToEc2(attachment, found.attachment))) return endingMs
        await this.#detach(attachment, found.id, found.attachment, isForced)
        if (!(await this.#untilFree(attachment, found, isForced, signal))) return 0
        signal.throwIfAborted()
      }
      // EC2 shows it: that another call does not know it is no proof that it is gone.
      if (!(await isKnown(this.#delete(found, signal)))) return lookAgainMs
      log.info({ attachment: name, node: attachment.spec.nodeName, eni: found.id }, 'ENI deleted')
    }
    // A create whose answer was lost, or one just made, may become visible only later.
    if (seen.length === 0 && attachment.status?.eni?.plannedTime !== undefined && !isGone) {
      log.info({ attachment: name }, 'its ENI may be there without EC2 showing it, looking again')
      return consistencyMs
    }
    signal.throwIfAborted()
    await store.removeFinalizer(attachment, eniFinalizer)
    return undefined
  }

  /**
   * With its instance EC2 deletes an ENI that is to go with it (DeleteOnTermination), and detaches every other. What it has not done
   * a while after the instance ended is done for it.
   */
  async #isLeftToEc2({ spec }: ENIAttachment, on: EniAttachmentFacts): Promise<boolean> {
    const { life } = this.#parts
    if (on.instanceID !== spec.instanceID) return false
    const state = await life.stateNow(spec)
    return state === 'shutting-down' || (state === 'terminated' && !life.isLongOver(spec))
  }

  async #detach(
    { metadata, spec }: ENIAttachment,
    eniID: string,
    on: EniAttachmentFacts,
    isForced: boolean,
  ): Promise<void> {
    const { ec2, life } = this.#parts
    if (on.instanceID !== undefined && on.instanceID !== spec.instanceID)
      throw new Error(
        `ENI ${eniID} is on instance ${on.instanceID}, where somebody else has put it: it stays there, and so does ENIAttachment ${metadata.name}, until it is detached by hand`,
      )
    const isUnderWay = on.status === 'detaching'
    const force = isForced || (isUnderWay && (await life.stateNow(spec)) === 'terminated')
    if (force || !isUnderWay) await isKnown(ec2.detachEni(on.id, force))
  }

  /** As it was before its detach: what describes it may know of that before what deletes it (aws/amazon-vpc-cni-k8s#1399). */
  async #delete({ id, attachment }: Eni, signal: AbortSignal): Promise<void> {
    const { ec2, clock } = this.#parts
    const freeSinceMs = clock.monotonic()
    for (;;) {
      try {
        return await ec2.deleteEni(id)
      } catch (error) {
        const isLag = attachment !== undefined && clock.monotonic() - freeSinceMs < consistencyMs
        if (!isEc2(error, 'EniInUse') || !isLag) throw error
        await sleep(clock, lookAgainMs, signal)
        signal.throwIfAborted()
      }
    }
  }

  /**
   * Detach is over when the attachment has disappeared and the ENI is available again. Answers false when somebody asks for force
   * meanwhile.
   */
  async #untilFree(attachment: ENIAttachment, { id }: Eni, isForced: boolean, signal: AbortSignal): Promise<boolean> {
    const { watch, store, clock } = this.#parts
    const isFree = (now: Eni | undefined) =>
      now === undefined || (now.attachment === undefined && now.status === 'available')
    const startedAt = clock.monotonic()
    const isLate = () => clock.monotonic() - startedAt > settleDeadlineMs
    const isNowForced = () => !isForced && isForcedBy(store.latest(attachment))
    const isOver = (now: Eni | undefined) => isFree(now) || isLate() || isNowForced()
    if (isFree(await watch.until(id, isOver, lookOf(attachment, signal, 'release')))) return true
    if (isNowForced()) return false
    const { name } = attachment.metadata
    throw new Error(
      `ENI ${id} is still being detached after ${settleDeadlineMs / 60_000} minutes, trying again; the annotation ${forceDetachAnnotation}: "true" of ENIAttachment ${name} detaches it by force`,
    )
  }
}

function isForcedBy({ metadata }: ENIAttachment): boolean {
  return metadata.annotations?.[forceDetachAnnotation] === 'true'
}

/** Whether EC2 knows what the call is about. */
async function isKnown(call: Promise<void>): Promise<boolean> {
  try {
    await call
    return true
  } catch (error) {
    if (isEc2(error, 'NotFound')) return false
    throw error
  }
}
