// Finds ENIs with our cluster's tag that no ENIAttachment names, and deletes those that are so in two passes in a row and
// attached to nothing. A safety net: intents are written before EC2 is called, so there should be none.
import { setTimeout as delay } from 'node:timers/promises'

import { attachmentTag, clusterTag } from '../api/names.ts'
import type { Log } from '../process/log.ts'
import type { AttachmentStore } from './attachment-store.ts'
import type { Ec2, Eni } from './ec2.ts'
import { isEc2 } from './ec2-error.ts'

const passMs = 60_000

export class GarbageCollector {
  readonly #ec2: Ec2
  readonly #store: AttachmentStore
  readonly #clusterName: string
  readonly #log: Log
  #suspects = new Set<string>()

  constructor(ec2: Ec2, store: AttachmentStore, clusterName: string, log: Log) {
    this.#ec2 = ec2
    this.#store = store
    this.#clusterName = clusterName
    this.#log = log
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(passMs, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      await this.pass().catch((error: unknown) =>
        this.#log.warn({ err: error }, 'garbage collection failed, trying again'),
      )
    }
  }

  async pass(): Promise<void> {
    const tagged = await this.#ec2.describeEnisByTag(clusterTag, this.#clusterName)
    // Read after EC2's answer, so that an ENI made meanwhile has its object here.
    const attachments = this.#store.all()
    const known = new Set(attachments.flatMap(({ metadata, status }) => [metadata.uid, status?.eni?.eniID]))
    const orphans = tagged.filter((eni) => !known.has(eni.id) && !known.has(eni.tags.get(attachmentTag)))
    const again = orphans.filter(({ id }) => this.#suspects.has(id))
    this.#suspects = new Set(orphans.map(({ id }) => id))
    const attached = again.filter(({ attachment }) => attachment !== undefined)
    if (attached.length > 0) {
      const enis = attached.map(({ id, attachment }) => `${id} on ${attachment?.instanceID}`)
      this.#log.warn({ enis }, 'attached ENIs without an ENIAttachment: a pod may use them, so detach them by hand')
    }
    for (const eni of again) if (eni.attachment === undefined && eni.status === 'available') await this.#delete(eni)
  }

  async #delete(eni: Eni): Promise<void> {
    const attachmentUID = eni.tags.get(attachmentTag)
    try {
      await this.#ec2.deleteEni(eni.id)
      this.#log.warn({ eni: eni.id, attachmentUID }, 'ENI without an ENIAttachment deleted')
    } catch (error) {
      // Somebody else was faster.
      if (isEc2(error, 'NotFound')) return
      this.#log.warn(
        { eni: eni.id, attachmentUID, err: error },
        'ENI without an ENIAttachment not deleted, trying again',
      )
    }
  }
}
