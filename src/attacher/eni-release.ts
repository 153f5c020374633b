// How an ENI goes: detached and deleted in EC2, then its object is let go. Every step is idempotent, so that a crash between any two
// of them is repaired by going through them again.
import { type ENIAttachment } from '../api/eni-attachment.ts'
import { eniFinalizer, forceDetachAnnotation } from '../api/names.ts'
import type { Clock } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { Absences } from './absences.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { consistencyMs, type Ec2, type Eni, type EniAttachmentFacts, settleDeadlineMs } from './ec2.ts'
import { isEc2 } from './ec2-error.ts'
import type { EniWatch } from './eni-watch.ts'
import type { InstanceLife } from './instance-life.ts'
import { ourEnis } from './our-enis.ts'

/** What one call shows another may not know yet. */
const lookAgainMs = 5_000

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
    const { ec2, store, absences, log } = this.#parts
    const { name, uid } = attachment.metadata
    const seen = await ourEnis(ec2, attachment)
    const isGone = absences.isGone(uid, seen[0])
    for (const found of seen) {
      signal.throwIfAborted()
      if (found.attachment !== undefined) {
        await this.#detach(attachment, found.id, found.attachment)
        await this.#untilFree(found, signal)
        signal.throwIfAborted()
      }
      // EC2 shows it: that another call does not know it is no proof that it is gone.
      if (!(await isKnown(ec2.deleteEni(found.id)))) return lookAgainMs
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

  async #detach({ metadata, spec }: ENIAttachment, eniID: string, on: EniAttachmentFacts): Promise<void> {
    const { ec2, life } = this.#parts
    if (on.instanceID !== undefined && on.instanceID !== spec.instanceID)
      throw new Error(
        `ENI ${eniID} is on instance ${on.instanceID}, where somebody else has put it: it stays there, and so does ENIAttachment ${metadata.name}, until it is detached by hand`,
      )
    const isUnderWay = on.status === 'detaching'
    const isForced = metadata.annotations?.[forceDetachAnnotation] === 'true'
    const force = isForced || (isUnderWay && (await life.state(spec)) === 'terminated')
    if (force || !isUnderWay) await isKnown(ec2.detachEni(on.id, force))
  }

  /** Detach is over when the attachment has disappeared and the ENI is available again. */
  async #untilFree({ id }: Eni, signal: AbortSignal): Promise<void> {
    const { watch, clock } = this.#parts
    const isFree = (now: Eni | undefined) =>
      now === undefined || (now.attachment === undefined && now.status === 'available')
    const startedAt = clock.monotonic()
    const isLate = () => clock.monotonic() - startedAt > settleDeadlineMs
    const last = await watch.until(id, (now) => isFree(now) || isLate(), signal)
    if (!isFree(last))
      throw new Error(`ENI ${id} is still being detached after ${settleDeadlineMs / 60_000} minutes, trying again`)
  }
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
