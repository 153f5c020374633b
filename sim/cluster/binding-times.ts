// When the API server received each Binding, by its audit log.
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'

/** A request's line is written just before its answer (--audit-log-mode=blocking, the default); a watch may be quicker than both. */
const pollMs = 20
const pollsMax = 50

const auditEventSchema = z.object({
  objectRef: z.object({
    resource: z.string(),
    namespace: z.string(),
    name: z.string(),
    /** Of the pod, as the Binding's precondition names it. */
    uid: z.string().optional(),
    subresource: z.literal('binding'),
  }),
  requestReceivedTimestamp: z.string(),
  responseStatus: z.object({ code: z.number().max(299) }),
})

type BindingRef = z.output<typeof auditEventSchema>['objectRef']

export class BindingTimes {
  readonly #auditLog: string

  constructor(auditLog: string) {
    this.#auditLog = auditLog
  }

  /** Milliseconds since the epoch, for a pod whose name is used once. */
  async receivedAt(namespace: string, name: string): Promise<number> {
    return this.#received(`${namespace}/${name}`, (ref) => ref.name === name && ref.namespace === namespace)
  }

  /** Milliseconds since the epoch. */
  async receivedFor(podUID: string): Promise<number> {
    return this.#received(`pod ${podUID}`, ({ uid }) => uid === podUID)
  }

  async #received(pod: string, isIts: (ref: BindingRef) => boolean): Promise<number> {
    for (let poll = 0; poll < pollsMax; poll++) {
      const found = (await this.#bindings()).find(({ objectRef }) => isIts(objectRef))
      if (found !== undefined) return Date.parse(found.requestReceivedTimestamp)
      await delay(pollMs)
    }
    throw new Error(`the audit log ${this.#auditLog} has no Binding of ${pod}`)
  }

  async #bindings() {
    const lines = (await readFile(this.#auditLog, 'utf8')).split('\n')
    return lines.flatMap((line) =>
      line.includes('"binding"') ? (auditEventSchema.safeParse(JSON.parse(line)).data ?? []) : [],
    )
  }
}
