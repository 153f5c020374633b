// What the extender knows: nodes, NodeENIs and ENIAttachments, from watches, plus its own writes until the watch has them.
// It holds no decisions and is rebuilt from watches alone after a restart.
import { isDeepStrictEqual } from 'node:util'

import { isReady, type NodeENI } from '../api/node-eni.ts'
import { type ENIAttachment, type Failure, isDeleting, terminalFailure } from '../api/eni-attachment.ts'
import type { NodeFacts } from '../kube/objects.ts'

/** An own write that no watch has confirmed after this time is forgotten: the object was deleted unseen. */
const assumedMs = 30_000

interface Assumed {
  readonly attachment: ENIAttachment
  readonly untilMs: number
}

export class Ledger {
  readonly #nodes = new Map<string, NodeFacts>()
  readonly #nodeENIs = new Map<string, NodeENI>()
  readonly #watched = new Map<string, ENIAttachment>()
  readonly #assumed = new Map<string, Assumed>()
  readonly #byNode = new NameIndex()
  readonly #byClaim = new NameIndex()
  readonly #suspendedUntil = new Map<string, number>()
  readonly #listeners = new Set<(nodeName: string | undefined) => void>()
  readonly #nodeListeners = new Map<string, Set<() => void>>()

  /** Called with the node whose state changed, or undefined when all may have changed. Returns the way to stop it. */
  onChange(listener: (nodeName: string | undefined) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Called when the state of this node has changed; a change of all nodes at once is none of its own. A thousand binds that wait on
   * their nodes are not all asked at each event. Returns the way to stop it.
   */
  onNodeChange(nodeName: string, listener: () => void): () => void {
    const listeners = this.#nodeListeners.get(nodeName) ?? new Set()
    this.#nodeListeners.set(nodeName, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#nodeListeners.delete(nodeName)
    }
  }

  setNode(name: string, node: NodeFacts | undefined): void {
    const before = this.#nodes.get(name)
    if (node === undefined) this.#nodes.delete(name)
    else this.#nodes.set(name, node)
    // A node's status is written every few minutes without any news for us.
    if (!isDeepStrictEqual(node, before)) this.#changed(name)
  }

  setNodeENI(name: string, nodeENI: NodeENI | undefined): void {
    const before = this.#nodeENIs.get(name)
    if (nodeENI === undefined) this.#nodeENIs.delete(name)
    else this.#nodeENIs.set(name, nodeENI)
    // Its counts change with every ENI of any node.
    if (!isDeepStrictEqual(offerOf(nodeENI), offerOf(before))) this.#changed(undefined)
  }

  /** What a watch says. An event older than our own write is outdated and left out. */
  setWatched(name: string, attachment: ENIAttachment | undefined): void {
    const assumed = this.#assumed.get(name)?.attachment
    if (assumed !== undefined && this.#hasSeen(assumed, attachment)) this.#assumed.delete(name)
    const nodeName = (attachment ?? this.#watched.get(name) ?? assumed)?.spec.nodeName
    if (attachment === undefined) this.#watched.delete(name)
    else this.#watched.set(name, attachment)
    if (nodeName !== undefined) this.#reindex(name, nodeName)
  }

  /** The API server's answer to our own write, ahead of the watch. */
  assume(attachment: ENIAttachment, nowMs: number): void {
    const { name } = attachment.metadata
    const watched = this.#watched.get(name)
    if (watched !== undefined && isOlder(attachment.metadata, watched.metadata)) return
    this.#assumed.set(name, { attachment, untilMs: nowMs + assumedMs })
    this.#reindex(name, attachment.spec.nodeName)
  }

  forgetStale(nowMs: number): void {
    for (const [name, { attachment, untilMs }] of this.#assumed) {
      if (nowMs < untilMs) continue
      this.#assumed.delete(name)
      this.#reindex(name, attachment.spec.nodeName)
    }
    for (const [nodeName, untilMs] of this.#suspendedUntil) {
      if (nowMs < untilMs) continue
      this.#suspendedUntil.delete(nodeName)
      this.#changed(nodeName)
    }
  }

  /** A node whose device plugin did not acknowledge a free device is left out for a while. */
  suspend(nodeName: string, untilMs: number): void {
    this.#suspendedUntil.set(nodeName, untilMs)
    this.#changed(nodeName)
  }

  isSuspended(nodeName: string): boolean {
    return this.#suspendedUntil.has(nodeName)
  }

  node(name: string): NodeFacts | undefined {
    return this.#nodes.get(name)
  }

  nodeNames(): IterableIterator<string> {
    return this.#nodes.keys()
  }

  attachment(name: string): ENIAttachment | undefined {
    return this.#assumed.get(name)?.attachment ?? this.#watched.get(name)
  }

  attachmentsOn(nodeName: string): ENIAttachment[] {
    return this.#indexed(this.#byNode.names(nodeName))
  }

  /** NodeENIs of a resource by name, the order in which they serve. */
  nodeENIsOf(resource: string): NodeENI[] {
    return [...this.#nodeENIs.values()]
      .filter(({ spec, metadata }) => spec.dpdkResourceName === resource && metadata.deletionTimestamp === undefined)
      .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  }

  /** All claims of a pod, on any node, also on what is being released or has failed. */
  claimsOf(podUID: string): ENIAttachment[] {
    return this.#indexed(this.#byClaim.names(podUID))
  }

  /** False for what was left behind by an instance whose node name came back. */
  isOnItsInstance({ spec }: ENIAttachment): boolean {
    return spec.instanceID === this.#nodes.get(spec.nodeName)?.instanceID
  }

  /** Whether a watch event is our own write or a later one. A name may come back: the end of its last bearer is neither. */
  #hasSeen({ metadata }: ENIAttachment, event: ENIAttachment | undefined): boolean {
    if (event !== undefined) return !isOlder(event.metadata, metadata)
    return this.#watched.get(metadata.name)?.metadata.uid === metadata.uid
  }

  #indexed(names: Iterable<string>): ENIAttachment[] {
    return [...names].map((name) => this.attachment(name)).filter((found) => found !== undefined)
  }

  #reindex(name: string, nodeName: string): void {
    const attachment = this.attachment(name)
    this.#byNode.set(name, attachment?.spec.nodeName)
    this.#byClaim.set(name, attachment?.spec.claim?.uid)
    this.#changed(nodeName)
  }

  #changed(nodeName: string | undefined): void {
    for (const listener of this.#listeners) listener(nodeName)
    if (nodeName === undefined) return
    for (const listener of this.#nodeListeners.get(nodeName) ?? []) listener()
  }
}

/** What of a NodeENI decides where it serves. */
function offerOf(nodeENI: NodeENI | undefined) {
  return nodeENI && [nodeENI.metadata.deletionTimestamp, nodeENI.spec, isReady(nodeENI), nodeENI.status?.subnets]
}

/** May serve a pod: not being released, not failed for good. */
export function isUsable(attachment: ENIAttachment): boolean {
  return !isDeleting(attachment) && terminalFailure(attachment) === undefined
}

/** Why the device plugin cannot offer it now, though it tries again. */
export function deviceFailure({ status }: ENIAttachment): Failure | undefined {
  return status?.device?.inUseBy === undefined ? status?.device?.failure : undefined
}

/** Resource versions of one resource are ordered decimal numbers (KEP-5504, GA in Kubernetes 1.35). */
function isOlder(a: ENIAttachment['metadata'], b: ENIAttachment['metadata']): boolean {
  return BigInt(a.resourceVersion) < BigInt(b.resourceVersion)
}

/** key -> names, where each name has one key at a time. */
class NameIndex {
  readonly #namesByKey = new Map<string, Set<string>>()
  readonly #keyByName = new Map<string, string>()

  names(key: string): Iterable<string> {
    return this.#namesByKey.get(key) ?? []
  }

  set(name: string, key: string | undefined): void {
    const before = this.#keyByName.get(name)
    if (before === key) return
    if (before !== undefined) this.#drop(name, before)
    if (key === undefined) return
    this.#keyByName.set(name, key)
    const names = this.#namesByKey.get(key)
    if (names === undefined) this.#namesByKey.set(key, new Set([name]))
    else names.add(name)
  }

  #drop(name: string, key: string): void {
    this.#keyByName.delete(name)
    const names = this.#namesByKey.get(key)
    names?.delete(name)
    if (names?.size === 0) this.#namesByKey.delete(key)
  }
}
