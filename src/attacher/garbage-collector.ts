// Finds ENIs with our cluster's tag that belong to no ENIAttachment, second ones of an ENIAttachment among them, and deletes those that
// are so in two surveys in a row and attached to nothing. A safety net: intents are written before EC2 is called, so there should be none.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import { attachmentTag } from '../api/names.ts'
import type { Log } from '../process/log.ts'
import type { AttachmentStore } from './attachment-store.ts'
import type { Ec2, Eni } from './ec2.ts'
import { isEc2 } from './ec2-error.ts'
import type { AttacherMetrics } from './metrics.ts'

/** The survey waits for the pass, and deletes take their turn after all other calls: the rest goes in the next pass. */
const deletesMax = 50

export interface GarbageCollectorParts {
  readonly ec2: Ec2
  readonly store: AttachmentStore
  /** `report` says in the log and the metrics what `delete` would do. */
  readonly mode: 'delete' | 'report'
  readonly metrics: AttacherMetrics
  readonly log: Log
}

export class GarbageCollector {
  readonly #parts: GarbageCollectorParts
  /** Those that could not be deleted are last, lest they keep others waiting. */
  #suspects = new Set<string>()

  constructor(parts: GarbageCollectorParts) {
    this.#parts = parts
  }

  /** @param tagged all ENIs with our cluster's tag, described before this is called: an ENI made meanwhile has its object here. */
  async pass(tagged: readonly Eni[]): Promise<void> {
    const { store, mode, metrics, log } = this.#parts
    const orphans = orphansAmong(tagged, store.all())
    const byID = new Map(orphans.map((eni) => [eni.id, eni]))
    const again = [...this.#suspects].flatMap((id) => byID.get(id) ?? [])
    this.#suspects = new Set([...again, ...orphans].map(({ id }) => id))
    metrics.orphans.set(again.length)
    const attached = again.filter(({ attachment }) => attachment !== undefined)
    if (attached.length > 0) {
      const enis = attached.map(({ id, attachment }) => `${id} on ${attachment?.instanceID}`)
      log.warn({ enis }, 'attached ENIs without an ENIAttachment: a pod may use them, so detach them by hand')
    }
    const garbage = again.filter(({ attachment, status }) => attachment === undefined && status === 'available')
    if (garbage.length === 0) return
    const enis = garbage.map(({ id }) => id)
    const unreadable = store.unreadable()
    if (unreadable.length > 0) {
      metrics.collections.inc({ result: 'kept' }, garbage.length)
      log.warn({ attachments: unreadable, enis }, 'ENIs not deleted: they may be of ENIAttachments that cannot be read')
    } else if (mode === 'delete') for (const eni of garbage.slice(0, deletesMax)) await this.#delete(eni)
    else {
      metrics.collections.inc({ result: 'would_delete' }, garbage.length)
      log.warn({ enis }, 'ENIs without an ENIAttachment would be deleted')
    }
  }

  async #delete(eni: Eni): Promise<void> {
    const { ec2, metrics, log } = this.#parts
    const attachmentUID = eni.tags.get(attachmentTag)
    try {
      await ec2.deleteEni(eni.id)
      metrics.collections.inc({ result: 'deleted' })
      log.warn({ eni: eni.id, attachmentUID }, 'ENI without an ENIAttachment deleted')
    } catch (error) {
      // Somebody else was faster.
      if (isEc2(error, 'NotFound')) return
      this.#suspects.delete(eni.id)
      this.#suspects.add(eni.id)
      metrics.collections.inc({ result: 'failed' })
      log.warn({ eni: eni.id, attachmentUID, err: error }, 'ENI without an ENIAttachment not deleted, trying again')
    }
  }
}

function orphansAmong(tagged: readonly Eni[], attachments: readonly ENIAttachment[]): Eni[] {
  const shown = new Set(tagged.map(({ id }) => id))
  const named = new Set(attachments.flatMap(({ status }) => status?.eni?.eniID ?? []))
  // Whose own ENI EC2 shows has no use for another one: a create made two.
  const lacking = attachments.filter(({ status }) => !shown.has(status?.eni?.eniID ?? ''))
  const mayBeOf = new Set(lacking.map(({ metadata }) => metadata.uid))
  return tagged.filter((eni) => !named.has(eni.id) && !mayBeOf.has(eni.tags.get(attachmentTag) ?? ''))
}
