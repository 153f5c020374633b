// Takes the steps that plan.ts decides on: a device into the kubelet's list at once, all that takes time as work beside the loop.
import type { Log } from '../process/log.ts'
import { type CardSteps, logFields } from './card-steps.ts'
import type { CardWork } from './card-work.ts'
import type { DeviceLists, OfferedDevice } from './device-lists.ts'
import type { LinkCorrections } from './link-corrections.ts'
import type { LinkSteps } from './link-steps.ts'
import type { KnownCard } from './match.ts'
import type { Step } from './step.ts'
import type { PlacedSituation, Plan } from './situation.ts'
import type { StatusWriter } from './status-writer.ts'

export interface StepTakerOptions {
  readonly steps: CardSteps
  readonly linkSteps: LinkSteps
  readonly work: CardWork
  readonly lists: DeviceLists
  readonly corrections: LinkCorrections
  readonly statuses: StatusWriter
  readonly log: Log
}

export class StepTaker {
  readonly #options: StepTakerOptions
  readonly #finished = new Set<string>()

  constructor(options: StepTakerOptions) {
    this.#options = options
  }

  /** We have ended our finalizer; the cache may show the attachment a little longer. */
  hasFinished(uid: string): boolean {
    return this.#finished.has(uid)
  }

  take({ situation, step }: Plan, now: number): void {
    const { steps, linkSteps, work, lists } = this.#options
    const { attachment, address } = situation
    const { uid } = attachment.metadata
    const { resourceName } = attachment.spec
    const fields = logFields(attachment, address === undefined ? undefined : { pciAddress: address })
    switch (step.kind) {
      case 'offer': {
        if (resourceName !== undefined) lists.offer(resourceName, this.#offered(situation, step.card), now)
        return
      }
      case 'set-link':
        if (step.isCorrection) this.#noteCorrection(uid, fields, step)
        return work.start(uid, fields, () => linkSteps.set(attachment, step))
      case 'adopt':
        return work.start(uid, fields, () => steps.adopt(attachment, step.card, step.kernelDriver))
      case 'describe':
        if (resourceName === undefined) return
        return work.start(uid, fields, () => steps.describe(resourceName, step.card))
      case 'bind':
        return work.start(uid, fields, () => steps.bind(attachment, step.card, step.driver))
      case 'restore':
        return work.start(uid, fields, () => steps.restore(attachment, step.card))
      case 'restore-link':
        return work.start(uid, fields, () => linkSteps.restore(attachment, step.card))
      case 'finish':
        return work.start(uid, fields, async () => {
          const outcome = await steps.finish(attachment, address, step.card)
          if (outcome.kind === 'done') this.#finished.add(uid)
          return outcome
        })
      case 'await-card':
      case 'wait':
      case 'refuse':
      case 'withdraw':
      case 'leave-list':
      case 'finished':
    }
  }

  /** Forgets attachments that are gone. */
  retain(uids: ReadonlySet<string>): void {
    for (const uid of this.#finished) if (!uids.has(uid)) this.#finished.delete(uid)
  }

  #offered({ attachment, mtu }: PlacedSituation, card: KnownCard): OfferedDevice {
    const acknowledged = this.#options.statuses.lastOf(attachment)?.acknowledged
    return {
      attachmentUID: attachment.metadata.uid,
      card,
      eni: attachment.status?.eni ?? {},
      mtu,
      isClaimed: acknowledged !== undefined && acknowledged === attachment.spec.claim?.uid,
    }
  }

  #noteCorrection(uid: string, fields: object, { link, changes }: Step & { kind: 'set-link' }): void {
    const { corrections, log } = this.#options
    const isFirst = corrections.made(uid)
    if (!isFirst) return
    const kinds = changes.map(({ kind }) => kind)
    log.info({ ...fields, interface: link.name, changes: kinds }, 'interface was changed by others, set again')
  }
}
