// How long an ENI that no pod claims stays attached to its node: for its NodeENI's `releaseAfter`, unless it is a warm or an Eager
// one, and no longer than its NodeENI wants ENIs, or so many of them, on that instance.
import { durationMs } from '../api/duration.ts'
import { type ENIAttachment, isDeleting, isIdle, terminalFailure } from '../api/eni-attachment.ts'
import { attachPolicyOf, type NodeENI, selectsNode } from '../api/node-eni.ts'
import type { Informer } from '../kube/informer.ts'
import type { NodeFacts } from '../kube/objects.ts'
import type { Clock } from '../process/clock.ts'
import type { AttachmentStore } from './attachment-store.ts'

export class IdleLimit {
  readonly #store: AttachmentStore
  readonly #nodes: Informer<NodeFacts>
  readonly #clock: Clock

  constructor(store: AttachmentStore, nodes: Informer<NodeFacts>, clock: Clock) {
    this.#store = store
    this.#nodes = nodes
    this.#clock = clock
  }

  /** After how many milliseconds the release of an idle ENI is due: 0, at once; Infinity, it is kept. */
  leftMs(attachment: ENIAttachment, nodeENI: NodeENI | undefined): number {
    const hasFailed = terminalFailure(attachment) !== undefined
    if (hasFailed || nodeENI === undefined || !this.#isWanted(attachment, nodeENI)) return 0
    if (this.#isBeyondMost(attachment, nodeENI)) return 0
    if (this.#isKept(attachment, nodeENI)) return Infinity
    const { attached, idleSince } = attachment.status?.eni ?? {}
    if (attached !== true) return 0
    const idleMs = idleSince === undefined ? 0 : this.#clock.now() - Date.parse(idleSince)
    return Math.max(0, durationMs(nodeENI.spec.releaseAfter) - idleMs)
  }

  /** The NodeENI still wants ENIs on the very instance that this one was made for. */
  #isWanted({ spec }: ENIAttachment, nodeENI: NodeENI): boolean {
    const node = this.#nodes.get(spec.nodeName)
    if (nodeENI.metadata.deletionTimestamp !== undefined || node === undefined) return false
    return node.instanceID === spec.instanceID && selectsNode(nodeENI.spec, node.labels)
  }

  /** There are more than `maxPerNode`, as after an edit of it: of the idle ones the youngest go. */
  #isBeyondMost(attachment: ENIAttachment, { spec: { maxPerNode = Infinity } }: NodeENI): boolean {
    const live = this.#live(attachment)
    const beyond = live.filter(({ status }) => status?.eni?.subnetID !== undefined).length - maxPerNode
    return beyond > 0 && oldestFirst(live.filter(isIdle)).slice(-beyond).includes(attachment.metadata.uid)
  }

  /** Eager ENIs stay; of the idle JustInTime ones the `warm` oldest stay. */
  #isKept(attachment: ENIAttachment, { spec }: NodeENI): boolean {
    if (attachPolicyOf(spec) === 'Eager') return true
    return oldestFirst(this.#live(attachment).filter(isIdle)).slice(0, spec.warm).includes(attachment.metadata.uid)
  }

  /** All of its NodeENI on its instance that are to stay there. */
  #live({ spec }: ENIAttachment): ENIAttachment[] {
    return this.#store
      .onInstance(spec)
      .filter((other) => other.spec.nodeENI === spec.nodeENI && !isDeleting(other))
      .filter((other) => terminalFailure(other) === undefined)
  }
}

/** UIDs. */
function oldestFirst(attachments: readonly ENIAttachment[]): string[] {
  return attachments
    .map(({ metadata }) => metadata)
    .sort((a, b) => order(a).localeCompare(order(b)))
    .map(({ uid }) => uid)
}

function order({ creationTimestamp, name }: ENIAttachment['metadata']): string {
  return `${creationTimestamp} ${name}`
}
