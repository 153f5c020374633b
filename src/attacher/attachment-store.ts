// ENIAttachments as the attacher sees them: the watch, or our own last write where the watch is not there yet.
import { type Claim, type ENIAttachment, eniAttachmentSchema, type EniStatus, phaseOf } from '../api/eni-attachment.ts'
import { apiVersion, attacherManager } from '../api/names.ts'
import { deleteAttachment, setClaim } from '../kube/attachments.ts'
import type { Cluster } from '../kube/cluster.ts'
import type { Informer } from '../kube/informer.ts'
import { attachmentPath } from '../kube/resource.ts'

export class AttachmentStore {
  readonly #cluster: Cluster
  readonly #watched: Informer<ENIAttachment>
  readonly #written = new Map<string, ENIAttachment>()
  /** Names by node: thousands of nodes ask for theirs. */
  readonly #byNode = new Map<string, Set<string>>()

  constructor(cluster: Cluster, watched: Informer<ENIAttachment>) {
    this.#cluster = cluster
    this.#watched = watched
    watched.onChange((name, after, before) => {
      if (before !== undefined) this.#namesOn(before).delete(name)
      if (after !== undefined) this.#namesOn(after).add(name)
      const written = this.#written.get(name)
      if (after === undefined || (written !== undefined && !isNewer(written, after))) this.#written.delete(name)
    })
  }

  get(name: string): ENIAttachment | undefined {
    return this.#watched.get(name) && (this.#written.get(name) ?? this.#watched.get(name))
  }

  all(): ENIAttachment[] {
    return [...this.#watched.values()].map((watched) => this.#written.get(watched.metadata.name) ?? watched)
  }

  /** On all instances that the node name ever stood for: names come back. */
  onNode(nodeName: string): ENIAttachment[] {
    return [...(this.#byNode.get(nodeName) ?? [])].flatMap((name) => this.get(name) ?? [])
  }

  onInstance({ nodeName, instanceID }: Pick<ENIAttachment['spec'], 'nodeName' | 'instanceID'>): ENIAttachment[] {
    return this.onNode(nodeName).filter(({ spec }) => spec.instanceID === instanceID)
  }

  ofNodeENI(nodeENI: string): ENIAttachment[] {
    return this.all().filter(({ spec }) => spec.nodeENI === nodeENI)
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
    await this.#cluster.request('PATCH', attachmentPath(attachment.metadata.name), { as: 'jsonPatch', body })
  }

  #namesOn({ spec: { nodeName } }: ENIAttachment): Set<string> {
    const names = this.#byNode.get(nodeName) ?? new Set()
    this.#byNode.set(nodeName, names)
    return names
  }

  #wrote(answer: unknown): ENIAttachment {
    const attachment = eniAttachmentSchema.parse(answer)
    const { name } = attachment.metadata
    const watched = this.#watched.get(name)
    if (watched !== undefined && isNewer(attachment, watched)) this.#written.set(name, attachment)
    return attachment
  }
}

/** Resource versions of one resource are ordered decimal numbers (KEP-5504, GA in Kubernetes 1.35). */
function isNewer(a: ENIAttachment, b: ENIAttachment): boolean {
  return BigInt(a.metadata.resourceVersion) > BigInt(b.metadata.resourceVersion)
}
