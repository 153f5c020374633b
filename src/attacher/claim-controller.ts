// Frees the claims of pods that ended, and moves claims to the pods that really hold the devices (claim-plan.ts).
import type { V1Pod } from '@kubernetes/client-node'

import { type Claim, type ENIAttachment } from '../api/eni-attachment.ts'
import type { KubeClient } from '../kube/cluster.ts'
import type { Informer } from '../kube/informer.ts'
import { isConflict, isNotFound } from '../kube/kube-error.ts'
import { parsePod, type PodFacts } from '../kube/objects.ts'
import { podPath } from '../kube/resource.ts'
import type { Log } from '../process/log.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { planClaims } from './claim-plan.ts'
import type { RejectedPods } from './rejected-pods.ts'

/** Somebody else wrote first; their change comes by the watch, and this is only for when it does not. */
const raceMs = 500

export class ClaimController {
  readonly #cluster: KubeClient
  readonly #store: AttachmentStore
  readonly #pods: Informer<PodFacts>
  readonly #rejectedPods: RejectedPods
  readonly #log: Log

  constructor(
    cluster: KubeClient,
    store: AttachmentStore,
    pods: Informer<PodFacts>,
    rejectedPods: RejectedPods,
    log: Log,
  ) {
    this.#cluster = cluster
    this.#store = store
    this.#pods = pods
    this.#rejectedPods = rejectedPods
    this.#log = log
  }

  /** Work-queue worker: all claims of one node. */
  async reconcile(nodeName: string): Promise<number | undefined> {
    // A node name comes back for another instance, whose devices are others.
    const pools = Map.groupBy(this.#store.onNode(nodeName), ({ spec }) => `${spec.instanceID} ${spec.resourceName}`)
    for (const attachments of pools.values()) {
      const resource = attachments[0]?.spec.resourceName
      if (resource === undefined) continue
      const ended = await this.#endedPods(attachments)
      const changes = planClaims(
        attachments,
        (attachment) => this.#holderOf(attachment),
        (claim) => !ended.has(claim.uid),
      )
      for (const { attachment, claim } of changes) {
        try {
          await this.#store.setClaim(attachment, claim)
          const was = attachment.spec.claim
          const endedPod = ended.get(was?.uid ?? '')
          if (endedPod !== undefined) this.#rejectedPods.claimFreed(endedPod, resource)
          this.#log.info(
            { attachment: attachment.metadata.name, node: nodeName, resource, before: was?.name, after: claim?.name },
            claim === undefined ? 'claim freed' : 'claim moved',
          )
        } catch (error) {
          if (isNotFound(error)) continue
          if (isConflict(error)) return raceMs
          throw error
        }
      }
    }
    return undefined
  }

  /** The device plugin knows names only; a pod of that name that is not bound to this node is another one. */
  #holderOf({ spec, status }: ENIAttachment): Claim | undefined {
    const holder = status?.device?.inUseBy
    if (holder === undefined) return undefined
    const pod = this.#pods.get(`${holder.namespace}/${holder.name}`)
    if (pod === undefined || pod.ended || pod.nodeName !== spec.nodeName) return undefined
    return { namespace: pod.namespace, name: pod.name, uid: pod.uid }
  }

  /** By UID; undefined where the pod is gone altogether. */
  async #endedPods(attachments: readonly ENIAttachment[]): Promise<ReadonlyMap<string, PodFacts | undefined>> {
    const ended = new Map<string, PodFacts | undefined>()
    for (const { spec } of attachments) {
      if (spec.claim === undefined) continue
      const pod = await this.#podOf(spec.claim)
      if (pod === undefined || hasEnded(pod, spec.nodeName)) ended.set(spec.claim.uid, pod)
    }
    return ended
  }

  /** Our cache may be behind the one in which the scheduler saw the pod: asked before a claim is taken from it. */
  async #podOf({ namespace, name, uid }: Claim): Promise<PodFacts | undefined> {
    const cached = this.#pods.get(`${namespace}/${name}`)
    if (cached?.uid === uid) return cached
    try {
      const pod = parsePod(await this.#cluster.request<V1Pod>('GET', podPath(namespace, name)))
      return pod.uid === uid ? pod : undefined
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw error
    }
  }
}

/** For a node a pod has also ended when it is bound to another one. */
function hasEnded({ ended, nodeName }: PodFacts, onNode: string): boolean {
  return ended || (nodeName !== undefined && nodeName !== onNode)
}
