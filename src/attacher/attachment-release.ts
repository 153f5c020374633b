// The end of an ENIAttachment: its device plugin lets go of the card, unless nobody is left on the node to do so; then its ENI goes
// (eni-release.ts).
import { type ENIAttachment, isIdle } from '../api/eni-attachment.ts'
import { deviceFinalizer, eniFinalizer } from '../api/names.ts'
import type { Clock } from '../process/clock.ts'
import type { AttachmentStore } from './attachment-store.ts'
import type { EniRelease } from './eni-release.ts'
import type { FailureReport } from './failure-report.ts'
import type { InstanceLife } from './instance-life.ts'

/** How often it is looked whether the card may be taken, and how long a device plugin may be silent. */
const lookMs = 30_000
/** The watch mostly shows our own write sooner. */
const writtenMs = 1_000

export interface AttachmentReleaseParts {
  readonly store: AttachmentStore
  readonly life: InstanceLife
  readonly eniRelease: EniRelease
  readonly report: FailureReport
  readonly clock: Clock
}

export class AttachmentRelease {
  readonly #parts: AttachmentReleaseParts

  constructor(parts: AttachmentReleaseParts) {
    this.#parts = parts
  }

  /** Answers after how many milliseconds to look again. @throws Ec2Error or KubeError to be tried again. */
  async release(attachment: ENIAttachment, signal: AbortSignal): Promise<number | undefined> {
    const { store, eniRelease } = this.#parts
    const finalizers = attachment.metadata.finalizers ?? []
    if (!finalizers.includes(eniFinalizer)) return undefined
    if (finalizers.includes(deviceFinalizer)) {
      if (!(await this.#mayTakeCard(attachment))) {
        if (isIdle(attachment)) await this.#awaitDevicePlugin(attachment)
        else await store.refreshPhase(attachment)
        return lookMs
      }
      await store.removeFinalizer(attachment, deviceFinalizer)
      return writtenMs
    }
    return eniRelease.release(attachment, signal)
  }

  /**
   * Only then may a card be taken without its device plugin having let go of it: nothing was ever on the node for an ENI that
   * EC2 was never asked for, and nothing is on an instance that EC2 calls terminated, or does not know. One that is stopped
   * starts again with the pods that it had.
   */
  async #mayTakeCard(attachment: ENIAttachment): Promise<boolean> {
    if (attachment.status?.eni?.plannedTime === undefined) return true
    const state = await this.#parts.life.stateNow(attachment.spec)
    return state === 'terminated' || (state === 'stopped' && isIdle(attachment))
  }

  /** A device plugin that does not come is never forced; somebody has to know. */
  async #awaitDevicePlugin(attachment: ENIAttachment): Promise<void> {
    const reason = 'WaitingForDevicePlugin'
    const message = `the device plugin of node ${attachment.spec.nodeName} has not let go of the card yet: does its pod run?`
    const since = attachment.status?.eni?.failure
    const { report, clock } = this.#parts
    const silentMs = clock.now() - Date.parse(since?.reason === reason ? since.time : '')
    if (silentMs >= lookMs) report.event(attachment, 'Warning', reason, message)
    await report.write(attachment, { reason, message, terminal: false })
  }
}
