// What the extender knows: nodes, NodeENIs, ENIAttachments and pods, from watches, plus its own writes until the watch has them; and by
// them what each node has (node-account.ts). It holds no decisions, knows no time, and is rebuilt from watches alone after a restart.
import { isDeepStrictEqual } from 'node:util'

import type { ENIAttachment } from '../api/eni-attachment.ts'
import { isReady, type NodeENI } from '../api/node-eni.ts'
import { NameIndex } from '../kube/name-index.ts'
import type { DemandingPod, NodeFacts, UnreadableAttachment } from '../kube/objects.ts'
import { isReadable, type KnownAttachment, KnownAttachments, placeOf } from './known-attachments.ts'
import { accountOf, type NodeAccount } from './node-account.ts'
import { PodBook } from './pod-book.ts'

export class Ledger {
  readonly #nodes = new Map<string, NodeFacts>()
  readonly #nodeENIs = new Map<string, NodeENI>()
  readonly #attachments = new KnownAttachments()
  readonly #pods = new PodBook()
  readonly #byNode = new NameIndex<KnownAttachment>((known) => placeOf(known).nodeName)
  readonly #byClaim = new NameIndex<KnownAttachment>((known) => (isReadable(known) ? known.spec.claim?.uid : undefined))
  readonly #accounts = new Map<string, NodeAccount>()
  readonly #suspensions = new Map<string, Set<symbol>>()
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

  /** What a watch says. One that cannot be read is no use to anybody, and takes its slot. */
  setWatched(name: string, attachment: ENIAttachment | UnreadableAttachment | undefined): void {
    this.#change(name, () => this.#attachments.watched(name, attachment))
  }

  /** The watch has told a whole list of ENIAttachments, of this version. */
  attachmentsListed(version: string): void {
    for (const write of this.#attachments.listed(version)) this.#settle(write.metadata.name, write)
  }

  /** The API server's answer to our own write, ahead of the watch. */
  assume(attachment: ENIAttachment): void {
    this.#change(attachment.metadata.name, () => this.#attachments.wrote(attachment))
  }

  /** A pod that asks for managed devices, as long as it has not ended. Keys are `namespace/name`. */
  setPod(key: string, pod: DemandingPod | undefined): void {
    const before = this.#pods.get(key)
    // Its status is of no interest here.
    if (isDeepStrictEqual(before, pod)) return
    this.#pods.set(key, pod)
    const claims = [before, pod].flatMap((one) => (one === undefined ? [] : this.claimsOf(one.uid)))
    const nodeNames = [before?.nodeName, pod?.nodeName, ...claims.map(({ spec }) => spec.nodeName)]
    for (const nodeName of new Set(nodeNames)) if (nodeName !== undefined) this.#changed(nodeName)
  }

  /** A node whose device plugin did not acknowledge a free device is left out until the returned function is called. */
  suspend(nodeName: string): () => void {
    const suspension = Symbol(nodeName)
    const suspensions = this.#suspensions.get(nodeName) ?? new Set()
    this.#suspensions.set(nodeName, suspensions.add(suspension))
    this.#changed(nodeName)
    return () => {
      if (!suspensions.delete(suspension) || suspensions.size > 0) return
      this.#suspensions.delete(nodeName)
      this.#changed(nodeName)
    }
  }

  isSuspended(nodeName: string): boolean {
    return this.#suspensions.has(nodeName)
  }

  node(name: string): NodeFacts | undefined {
    return this.#nodes.get(name)
  }

  nodeNames(): IterableIterator<string> {
    return this.#nodes.keys()
  }

  account(nodeName: string): NodeAccount {
    const kept = this.#accounts.get(nodeName)
    if (kept !== undefined) return kept
    const known = this.#known(this.#byNode.names(nodeName))
    const account = accountOf({
      node: this.#nodes.get(nodeName),
      attachments: known.filter(isReadable),
      unreadable: known.flatMap((one) => (isReadable(one) ? [] : [one])),
      pods: this.#pods.on(nodeName),
      isOver: (podUID) => this.#pods.isOver(podUID, nodeName),
    })
    // Names that are asked about need not be nodes, and there is no end of those.
    if (this.#nodes.has(nodeName)) this.#accounts.set(nodeName, account)
    return account
  }

  attachment(name: string): ENIAttachment | undefined {
    const known = this.#attachments.get(name)
    return known !== undefined && isReadable(known) ? known : undefined
  }

  attachmentsOn(nodeName: string): ENIAttachment[] {
    return this.#known(this.#byNode.names(nodeName)).filter(isReadable)
  }

  /** NodeENIs of a resource by name, the order in which they serve. */
  nodeENIsOf(resource: string): NodeENI[] {
    return [...this.#nodeENIs.values()]
      .filter(({ spec, metadata }) => spec.dpdkResourceName === resource && metadata.deletionTimestamp === undefined)
      .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  }

  /** All claims of a pod, on any node, also on what is being released or has failed. */
  claimsOf(podUID: string): ENIAttachment[] {
    return this.#known(this.#byClaim.names(podUID)).filter(isReadable)
  }

  /** False for what was left behind by an instance whose node name came back. */
  isOnItsInstance({ spec }: ENIAttachment): boolean {
    return spec.instanceID === this.#nodes.get(spec.nodeName)?.instanceID
  }

  #known(names: readonly string[]): KnownAttachment[] {
    return names.map((name) => this.#attachments.get(name)).filter((known) => known !== undefined)
  }

  #change(name: string, change: () => void): void {
    const before = this.#attachments.get(name)
    change()
    this.#settle(name, before)
  }

  #settle(name: string, before: KnownAttachment | undefined): void {
    const after = this.#attachments.get(name)
    if (after === before) return
    this.#byNode.changed(name, after, before)
    this.#byClaim.changed(name, after, before)
    const nodeNames = [before, after].map((known) => known && placeOf(known).nodeName)
    for (const nodeName of new Set(nodeNames)) if (nodeName !== undefined) this.#changed(nodeName)
  }

  #changed(nodeName: string | undefined): void {
    if (nodeName !== undefined) this.#accounts.delete(nodeName)
    for (const listener of this.#listeners) listener(nodeName)
    if (nodeName === undefined) return
    for (const listener of this.#nodeListeners.get(nodeName) ?? []) listener()
  }
}

/** What of a NodeENI decides where it serves. */
function offerOf(nodeENI: NodeENI | undefined) {
  return nodeENI && [nodeENI.metadata.deletionTimestamp, nodeENI.spec, isReady(nodeENI), nodeENI.status?.subnets]
}
