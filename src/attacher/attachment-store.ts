// ENIAttachments as the attacher sees them: the watch, or our own last write where the watch is not there yet.
import {
  type Claim,
  type ENIAttachment,
  eniAttachmentSchema,
  type EniStatus,
  isIdle,
  phaseOf,
  type Place,
} from '../api/eni-attachment.ts'
import { apiVersion, attacherManager } from '../api/names.ts'
import { deleteAttachment, setClaim } from '../kube/attachments.ts'
import type { KubeClient } from '../kube/cluster.ts'
import type { Informer } from '../kube/informer.ts'
import { attachmentPath } from '../kube/resource.ts'
import { NameIndex } from '../kube/name-index.ts'

export class AttachmentStore {
  readonly #cluster: KubeClient
  readonly #watched: Informer<ENIAttachment>
  readonly #written = new Map<string, ENIAttachment>()
  readonly #byNode = new NameIndex<ENIAttachment>(({ spec }) => spec.nodeName)
  readonly #byNodeENI = new NameIndex<ENIAttachment>(({ spec }) => spec.nodeENI)
  readonly #byPod = new NameIndex<ENIAttachment>(({ spec }) => spec.claim?.uid)

  constructor(cluster: KubeClient, watched: Informer<ENIAttachment>) {
    this.#cluster = cluster
    this.#watched = watched
    watched.onChange((name, after, before) => {
      for (const index of [this.#byNode, this.#byNodeENI, this.#byPod]) index.changed(name, after, before)
      const written = this.#written.get(name)
      if (after === undefined || (written !== undefined && !isNewer(written, after))) this.#written.delete(name)
    })
  }

  get(name: string): ENIAttachment | undefined {
    return this.#watched.get(name) && (this.#written.get(name) ?? this.#watched.get(name))
  }

  /** As it is now; the same when it is gone. */
  latest(attachment: ENIAttachment): ENIAttachment {
    return this.get(attachment.metadata.name) ?? attachment
  }

  /** By a pod, which can go to no other node any more. */
  isHeld(attachment: ENIAttachment): boolean {
    return this.latest(attachment).status?.device?.inUseBy !== undefined
  }

  all(): ENIAttachment[] {
    return [...this.#watched.values()].map((watched) => this.#written.get(watched.metadata.name) ?? watched)
  }

  /** Names of those that are there and cannot be read: what they say is not known. */
  unreadable(): string[] {
    return [...this.#watched.unreadable.keys()]
  }

  /** On all instances that the node name ever stood for: names come back. */
  onNode(nodeName: string): ENIAttachment[] {
    return this.#byNode.names(nodeName).flatMap((name) => this.get(name) ?? [])
  }

  onInstance({ nodeName, instanceID }: Place): ENIAttachment[] {
    return this.onNode(nodeName).filter(({ spec }) => spec.instanceID === instanceID)
  }

  ofNodeENI(nodeENI: string): ENIAttachment[] {
    return this.#byNodeENI.names(nodeENI).flatMap((name) => this.get(name) ?? [])
  }

  claimedBy(podUID: string): ENIAttachment[] {
    return this.#byPod.names(podUID).flatMap((name) => this.get(name) ?? [])
  }

  /**
   * Replaces status.eni, which no one else writes, and the phase that follows from it. It goes by the name alone: for the status
   * of a custom resource the API server looks at no uid (tried on 1.36.3).
   */
  async writeEni(attachment: ENIAttachment, eni: EniStatus): Promise<ENIAttachment> {
    const { name } = attachment.metadata
    const phase = phaseOf({ ...attachment, status: { ...attachment.status, eni } })
    const body = { apiVersion, kind: 'ENIAttachment', metadata: { name }, status: { phase, eni } }
    const query = { fieldManager: attacherManager, force: true }
    const path = `${attachmentPath(name)}/status`
    return this.#wrote(await this.#cluster.request('PATCH', path, { as: 'apply', body, query }))
  }

  /** idleSince ends with a claim; the phase may be older than what the device plugin wrote. */
  async refreshPhase(attachment: ENIAttachment): Promise<void> {
    const { eni, phase } = attachment.status ?? {}
    const outdated = !isIdle(attachment) && eni?.idleSince !== undefined
    if (!outdated && phase === phaseOf(attachment)) return
    const { idleSince, ...rest } = eni ?? {}
    await this.writeEni(attachment, outdated || idleSince === undefined ? rest : { ...rest, idleSince })
  }

  /** @throws KubeError 409 when somebody else was faster. */
  async setClaim(attachment: ENIAttachment, claim: Claim | undefined): Promise<void> {
    this.#wrote(await setClaim(this.#cluster, attachment, claim, attacherManager))
  }

  /** @throws KubeError 409 when somebody has claimed it meanwhile. */
  async delete(attachment: ENIAttachment): Promise<void> {
    await deleteAttachment(this.#cluster, attachment)
  }

  /** Removes one finalizer of this very object and nothing else, whatever others do to the list. */
  async removeFinalizer(attachment: ENIAttachment, finalizer: string): Promise<void> {
    const index = attachment.metadata.finalizers?.indexOf(finalizer) ?? -1
    if (index < 0) return
    const path = `/metadata/finalizers/${index}`
    const body = [
      { op: 'test', path: '/metadata/uid', value: attachment.metadata.uid },
      { op: 'test', path, value: finalizer },
      { op: 'remove', path },
    ]
    // Known at once, so that what it held back is not done again before the watch tells of it.
    this.#wrote(
      await this.#cluster.request('PATCH', attachmentPath(attachment.metadata.name), { as: 'jsonPatch', body }),
    )
  }

  #wrote(answer: unknown): ENIAttachment {
    const attachment = eniAttachmentSchema.parse(answer)
    const { name } = attachment.metadata
    const watched = this.#watched.get(name)
    // A write that is the end of the object gives it no other version.
    if (watched !== undefined && !isNewer(watched, attachment)) this.#written.set(name, attachment)
    return attachment
  }
}

/** Resource versions of one resource are ordered decimal numbers (KEP-5504, GA in Kubernetes 1.35). */
function isNewer(a: ENIAttachment, b: ENIAttachment): boolean {
  return BigInt(a.metadata.resourceVersion) > BigInt(b.metadata.resourceVersion)
}
