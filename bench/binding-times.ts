// When the API server received each Binding, by its audit log.
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'

/** The API server writes its audit log in batches. */
const pollMs = 100
const pollsMax = 100

const auditEventSchema = z.object({
  objectRef: z.object({
    resource: z.string(),
    namespace: z.string(),
    name: z.string(),
    subresource: z.literal('binding'),
  }),
  requestReceivedTimestamp: z.string(),
  responseStatus: z.object({ code: z.number().max(299) }),
})

export class BindingTimes {
  readonly #auditLog: string

  constructor(auditLog: string) {
    this.#auditLog = auditLog
  }

  /** Milliseconds since the epoch. */
  async receivedAt(namespace: string, name: string): Promise<number> {
    for (let poll = 0; poll < pollsMax; poll++) {
      const found = (await this.#bindings()).find(
        ({ objectRef }) => objectRef.name === name && objectRef.namespace === namespace,
      )
      if (found !== undefined) return Date.parse(found.requestReceivedTimestamp)
      await delay(pollMs)
    }
    throw new Error(`the audit log ${this.#auditLog} has no Binding of ${namespace}/${name}`)
  }

  async #bindings() {
    const lines = (await readFile(this.#auditLog, 'utf8')).split('\n')
    return lines.flatMap((line) =>
      line.includes('"binding"') ? (auditEventSchema.safeParse(JSON.parse(line)).data ?? []) : [],
    )
  }
}
