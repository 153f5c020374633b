// Which NodeENIs a node cannot serve, as its device plugin or EC2's attach found: no ENI of them is made there again until the
// NodeENI changes, or for a while. The extender reads it in the node's eni-capacity annotation, and so does the next attacher.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { RefusedNodeENI } from '../api/node-capacity.ts'
import type { NodeENI } from '../api/node-eni.ts'
import type { NodeFacts } from '../kube/objects.ts'
import type { Clock } from '../process/clock.ts'

/**
 * A driver may be installed at any time, and nothing tells us. Each try attaches an ENI and detaches it again, which an Eager
 * NodeENI or a pod that can go nowhere else would do for ever: so the rest doubles with each try that fails alike.
 */
const firstRestMs = 5 * 60_000
const lastRestMs = 6 * 60 * 60_000
/** What only a change of the NodeENI can put right. */
const lasting: ReadonlySet<string> = new Set(['PCIAddressMismatch'])

/** It has no room, or comes to its end: nothing is wrong with the node. */
const ordinary: ReadonlySet<string> = new Set(['NodeFull', 'NoFreeDeviceIndex', 'InstanceNotRunning'])

/** A node that cannot serve a NodeENI. */
export interface RefusingNode {
  readonly nodeName: string
  readonly reason: string
}

interface Refusal extends Omit<RefusedNodeENI, 'tries'> {
  readonly nodeName: string
  readonly instanceID: string
  readonly untilMs: number
  /** How often it has failed alike in a row. */
  readonly tries: number
  /** Unknown after a restart. */
  readonly attachmentUID: string | undefined
  isOver: boolean
}

export class NodeRefusals {
  readonly #clock: Clock
  #refusals: Refusal[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** After a start: what the attacher before this one has written. A rest begins anew, as long as it was. */
  learn(nodes: Iterable<NodeFacts>): void {
    for (const { name, instanceID, bootID, capacity } of nodes) {
      if (instanceID === undefined || capacity?.instanceID !== instanceID) continue
      for (const refused of capacity.refused ?? []) {
        if (mayBeMended(refused) && capacity.bootID !== bootID) continue
        this.#put({ nodeName: name, instanceID }, refused, refused.tries ?? 1, undefined)
      }
    }
  }

  /**
   * What a device plugin found. `generation` is that of the NodeENI which failed: a change since then is not held against it. Answers
   * false when it is known that this attachment failed.
   */
  add(
    attachment: ENIAttachment,
    nodeENI: NodeENI,
    reason: string,
    generation: number = nodeENI.metadata.generation ?? 0,
  ): boolean {
    const refused = { nodeENI: nodeENI.metadata.name, generation, reason }
    return this.#putOnce(attachment, refused, this.#triesOf(attachment.spec.instanceID, refused))
  }

  /** What EC2 said against the attach: it is put right elsewhere, such as in IAM, and nothing was attached in vain. The rest stays short. */
  addOfEC2(attachment: ENIAttachment, { metadata: { name, generation = 0 } }: NodeENI, reason: string): boolean {
    return this.#putOnce(attachment, { nodeENI: name, generation, reason }, 1)
  }

  /** Why no ENI of this NodeENI is to be made on this instance now. */
  reasonAgainst(instanceID: string, nodeENI: NodeENI): string | undefined {
    return this.#of(nodeENI).find((refusal) => refusal.instanceID === instanceID)?.reason
  }

  /** Nodes that have something wrong for it, in the order of names. */
  nodesRefusing(nodeENI: NodeENI): RefusingNode[] {
    const wrong = this.#of(nodeENI).filter(({ reason }) => !ordinary.has(reason))
    const byName = new Map(wrong.map(({ nodeName, reason }) => [nodeName, reason]))
    return [...byName]
      .map(([nodeName, reason]) => ({ nodeName, reason }))
      .sort((a, b) => (a.nodeName < b.nodeName ? -1 : 1))
  }

  /** For the annotation of the node. */
  on(instanceID: string, nodeENIs: Iterable<NodeENI>): RefusedNodeENI[] {
    return [...nodeENIs].flatMap((nodeENI) => {
      const refusal = this.#of(nodeENI).find((one) => one.instanceID === instanceID)
      if (refusal === undefined) return []
      const { nodeENI: name, generation, reason, tries } = refusal
      return [{ nodeENI: name, generation, reason, ...(tries > 1 && { tries }) }]
    })
  }

  /** Milliseconds until the next refusal of this NodeENI ends by itself; Infinity: none does. */
  endsInMs(nodeENI: NodeENI): number {
    return Math.min(...this.#of(nodeENI).map(({ untilMs }) => untilMs - this.#clock.now()))
  }

  /** Whether a refusal of this NodeENI has ended since this was asked the last time. */
  haveEnded(nodeENI: NodeENI): boolean {
    const still = new Set(this.#of(nodeENI))
    const isEnded = (one: Refusal) => one.nodeENI === nodeENI.metadata.name && !one.isOver && !still.has(one)
    const ended = this.#refusals.filter(isEnded)
    for (const refusal of ended) refusal.isOver = true
    return ended.length > 0
  }

  /** Its generations begin anew when another gets its name. Answers whether there was something to forget. */
  forgetNodeENI(name: string): boolean {
    const before = this.#refusals.length
    this.#refusals = this.#refusals.filter(({ nodeENI }) => nodeENI !== name)
    return this.#refusals.length < before
  }

  /** Somebody may have mended the node: it was restarted, or its annotation removed by hand. Answers whether that changes anything. */
  mended(instanceID: string): boolean {
    const before = this.#refusals.length
    this.#refusals = this.#refusals.filter((refusal) => refusal.instanceID !== instanceID || !mayBeMended(refusal))
    return this.#refusals.length < before
  }

  /** A device plugin offers the ENI: what was wrong before is over, and a failure after this is the first. */
  worked({ metadata, spec, status }: ENIAttachment): void {
    const { advertised, failure } = status?.device ?? {}
    if (advertised !== true || failure !== undefined) return
    const bornAtMs = Date.parse(metadata.creationTimestamp ?? '')
    this.#refusals = this.#refusals.filter(
      ({ instanceID, nodeENI, untilMs }) =>
        instanceID !== spec.instanceID || nodeENI !== spec.nodeENI || !(untilMs <= bornAtMs),
    )
  }

  forgetInstance(instanceID: string | undefined): void {
    this.#refusals = this.#refusals.filter((refusal) => refusal.instanceID !== instanceID)
  }

  #of({ metadata: { name, generation = 0 } }: NodeENI): Refusal[] {
    const now = this.#clock.now()
    return this.#refusals.filter(
      (refusal) => refusal.nodeENI === name && refusal.generation === generation && refusal.untilMs > now,
    )
  }

  #putOnce({ metadata: { uid }, spec }: ENIAttachment, refused: RefusedNodeENI, tries: number): boolean {
    if (this.#refusals.some(({ attachmentUID }) => attachmentUID === uid)) return false
    this.#put(spec, refused, tries, uid)
    return true
  }

  #put(
    { nodeName, instanceID }: Pick<Refusal, 'nodeName' | 'instanceID'>,
    { nodeENI, generation, reason }: RefusedNodeENI,
    tries: number,
    attachmentUID: string | undefined,
  ): void {
    const untilMs = this.#clock.now() + restMs(reason, tries)
    const isSame = (other: Refusal) => other.instanceID === instanceID && other.nodeENI === nodeENI
    this.#refusals = this.#refusals.filter((other) => !(other.isOver && isSame(other)))
    const refusal = { nodeENI, generation, reason, nodeName, instanceID, tries, attachmentUID }
    this.#refusals.push({ ...refusal, untilMs, isOver: false })
  }

  /** Of several that fail at the same time only one counts. */
  #triesOf(instanceID: string, { nodeENI, generation, reason }: RefusedNodeENI): number {
    const alike = this.#refusals.filter(
      (one) =>
        one.instanceID === instanceID &&
        one.nodeENI === nodeENI &&
        one.generation === generation &&
        one.reason === reason,
    )
    const now = this.#clock.now()
    return Math.max(1, ...alike.map(({ tries, untilMs }) => (untilMs > now ? tries : tries + 1)))
  }
}

function restMs(reason: string, tries: number): number {
  if (lasting.has(reason)) return Infinity
  return Math.min(firstRestMs * 2 ** (tries - 1), lastRestMs)
}

function mayBeMended({ reason }: Pick<RefusedNodeENI, 'reason'>): boolean {
  return !lasting.has(reason)
}
