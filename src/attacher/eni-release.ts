// How an ENI goes: detached and deleted in EC2, then its object is let go. Every step is idempotent, so that a crash between any two
// of them is repaired by going through them again.
import { type ENIAttachment } from '../api/eni-attachment.ts'
import { eniFinalizer } from '../api/names.ts'
import type { Clock } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { consistencyMs, type Ec2, type Eni, settleDeadlineMs } from './ec2.ts'
import { isEc2 } from './ec2-error.ts'
import type { EniWatch } from './eni-watch.ts'
import { ourEnis } from './our-enis.ts'

export interface EniReleaseParts {
  readonly ec2: Ec2
  readonly watch: EniWatch
  readonly store: AttachmentStore
  readonly clock: Clock
  readonly log: Log
}

export class EniRelease {
  readonly #parts: EniReleaseParts

  constructor(parts: EniReleaseParts) {
    this.#parts = parts
  }

  /** Never forced: the device plugin has let go of the card before. @throws Ec2Error or KubeError to be tried again. */
  async release(attachment: ENIAttachment, signal: AbortSignal): Promise<void> {
    const { ec2, store, log } = this.#parts
    const seen = await ourEnis(ec2, attachment)
    for (const found of seen) {
      signal.throwIfAborted()
      if (found.attachment !== undefined) {
        if (found.attachment.status !== 'detaching') await ignoreNotFound(ec2.detachEni(found.attachment.id))
        await this.#untilFree(found, signal)
        signal.throwIfAborted()
      }
      await ignoreNotFound(ec2.deleteEni(found.id))
      log.info({ attachment: attachment.metadata.name, node: attachment.spec.nodeName, eni: found.id }, 'ENI deleted')
    }
    if (seen.length === 0 && this.#mayShowLater(attachment))
      throw new Error(`ENI of ${attachment.metadata.name} may be there without EC2 showing it yet, looking again`)
    signal.throwIfAborted()
    await store.removeFinalizer(attachment, eniFinalizer)
  }

  /** Detach is over when the attachment has disappeared and the ENI is available again. */
  async #untilFree({ id }: Eni, signal: AbortSignal): Promise<void> {
    const isFree = (now: Eni | undefined) =>
      now === undefined || (now.attachment === undefined && now.status === 'available')
    const deadline = AbortSignal.timeout(settleDeadlineMs)
    try {
      await this.#parts.watch.until(id, isFree, AbortSignal.any([signal, deadline]))
    } catch (error) {
      if (!deadline.aborted) throw error
      const message = `ENI ${id} is still being detached after ${settleDeadlineMs / 60_000} minutes, trying again`
      throw new Error(message, { cause: error })
    }
  }

  /** A create whose answer was lost, or one just made, may become visible only later; until then the object stays. */
  #mayShowLater({ status }: ENIAttachment): boolean {
    const { plannedTime, createdTime, attachedTime } = status?.eni ?? {}
    // What was attached has been seen: now that it is not there, it is deleted.
    if (attachedTime !== undefined) return false
    const since = createdTime ?? plannedTime
    return since !== undefined && this.#parts.clock.now() - Date.parse(since) < consistencyMs
  }
}

async function ignoreNotFound(call: Promise<void>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (!isEc2(error, 'NotFound')) throw error
  }
}
