// What the API server has written into its audit log since a moment: Bindings with their times, and who has written what.
import { open, stat } from 'node:fs/promises'
import { z } from 'zod'

const eventSchema = z.object({
  verb: z.string(),
  user: z.object({ username: z.string() }),
  userAgent: z.string().default(''),
  objectRef: z.object({
    resource: z.string(),
    namespace: z.string().optional(),
    name: z.string().optional(),
    subresource: z.string().optional(),
  }),
  responseStatus: z.object({ code: z.number() }),
  requestReceivedTimestamp: z.string(),
})
export type AuditEvent = z.output<typeof eventSchema>

export class AuditWindow {
  readonly #file: string
  readonly #from: number

  /** From now on. */
  static async open(file: string): Promise<AuditWindow> {
    return new AuditWindow(file, (await stat(file)).size)
  }

  private constructor(file: string, from: number) {
    this.#file = file
    this.#from = from
  }

  /** In the order in which they were answered. */
  async events(): Promise<AuditEvent[]> {
    await using handle = await open(this.#file)
    const chunks: string[] = []
    for await (const chunk of handle.createReadStream({ start: this.#from, encoding: 'utf8', autoClose: false })) {
      chunks.push(chunk as string)
    }
    const lines = chunks.join('').split('\n')
    // The last one may be half written.
    return lines.slice(0, -1).map((line) => eventSchema.parse(JSON.parse(line)))
  }
}

/** When the API server received each Binding that it took, in milliseconds since the epoch, in order. */
export function bindingTimesOf(events: readonly AuditEvent[], namespace: string): number[] {
  return events
    .filter(({ objectRef, responseStatus }) => {
      const isBinding = objectRef.resource === 'pods' && objectRef.subresource === 'binding'
      return isBinding && objectRef.namespace === namespace && responseStatus.code < 300
    })
    .map(({ requestReceivedTimestamp }) => Date.parse(requestReceivedTimestamp))
    .toSorted((a, b) => a - b)
}

/** `who verb resource` -> how often. */
export function writesOf(events: readonly AuditEvent[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const event of events) {
    const { resource, subresource } = event.objectRef
    const what = `${writerOf(event)}: ${event.verb} ${resource}${subresource === undefined ? '' : `/${subresource}`}`
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  return new Map([...counts].toSorted(([, a], [, b]) => b - a))
}

/** The scheduler and the extender share a ServiceAccount; the administrator is the node simulator, and this benchmark. */
export function writerOf({ user: { username }, userAgent }: AuditEvent): string {
  if (userAgent.startsWith('kube-scheduler')) return 'kube-scheduler'
  if (username.endsWith(':jit-eni-scheduler')) return 'extender'
  if (username.endsWith(':jit-eni-attacher')) return 'attacher'
  if (username === 'admin') return 'nodes and bench'
  return username
}
