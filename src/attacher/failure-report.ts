// Who is told that an ENI fails, and where: the status of the ENIAttachment, and events on it, its pod and its NodeENI.
import type { ENIAttachment, Failure } from '../api/eni-attachment.ts'
import type { NodeENI } from '../api/node-eni.ts'
import type { EventRecorder } from '../kube/event-recorder.ts'
import { KubeError } from '../kube/kube-error.ts'
import { type Clock, timestamp } from '../process/clock.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { Ec2Error } from './ec2-error.ts'
import type { GivenUp } from './eni-plan.ts'

/** As long as the CRD allows. */
const messageMax = 1024

export class FailureReport {
  readonly #store: AttachmentStore
  readonly #events: EventRecorder
  readonly #clock: Clock

  constructor(store: AttachmentStore, events: EventRecorder, clock: Clock) {
    this.#store = store
    this.#events = events
    this.#clock = clock
  }

  /** What ends a try stands in the status for the extender and the user. What is said already is not written again. */
  async write(attachment: ENIAttachment, failed: Omit<Failure, 'time'>): Promise<void> {
    const { failure: before, ...eni } = attachment.status?.eni ?? {}
    const failure = { ...failed, message: failed.message.slice(0, messageMax), time: timestamp(this.#clock) }
    if (before?.message === failure.message && before.terminal === failure.terminal) return
    await this.#store.writeEni(attachment, { ...eni, failure })
  }

  /**
   * For `kubectl describe` of the ENIAttachment and of its pod: why it takes so long. What ended the try stays; and when the API
   * server is in trouble, the log has to do.
   */
  async note(name: string, error: Error): Promise<void> {
    const current = this.#store.get(name)
    if (current === undefined || current.status?.eni?.failure?.terminal === true || error instanceof KubeError) return
    const reason = error instanceof Ec2Error ? error.code : 'TryingAgain'
    const message = error instanceof Ec2Error ? error.words : error.message
    if (error instanceof Ec2Error) this.event(current, 'Warning', reason, message)
    await this.write(current, { reason, message, terminal: false }).catch(() => undefined)
  }

  /** The pod, and whoever looks after the NodeENI. */
  tell(attachment: ENIAttachment, nodeENI: NodeENI | undefined, { reason, message }: GivenUp): void {
    if (nodeENI !== undefined) this.#events.record(involved(nodeENI), 'Warning', reason, message)
    this.event(attachment, 'Warning', reason, message)
  }

  event(attachment: ENIAttachment, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { claim } = attachment.spec
    this.#events.record(involved(attachment), type, reason, message)
    if (claim !== undefined) this.#events.record({ apiVersion: 'v1', kind: 'Pod', ...claim }, type, reason, message)
  }
}

function involved({ apiVersion, kind, metadata: { name, uid } }: ENIAttachment | NodeENI) {
  return { apiVersion, kind, name, uid }
}
