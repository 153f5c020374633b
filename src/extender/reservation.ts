// Claims for one pod on one node: takes idle devices, writes intents for the missing ones, and gives back what it took when
// that fails half-way. The caller holds the node's mutex; resource versions guard against the other writers.
import { attachmentName, type Claim, type ENIAttachment, isIdle, newAttachment } from '../api/eni-attachment.ts'
import { extenderManager } from '../api/names.ts'
import type { NodeENI } from '../api/node-eni.ts'
import type { Demand } from '../api/pod-demand.ts'
import { createAttachment, deleteAttachment, readAttachment, setClaim } from '../kube/attachments.ts'
import type { KubeClient } from '../kube/cluster.ts'
import { isConflict, isNotFound } from '../kube/kube-error.ts'
import type { Log } from '../process/log.ts'
import type { Ledger } from './ledger.ts'
import { isUsable } from './node-account.ts'
import { checkNode, type ResourcePlan } from './node-check.ts'

/** Names already taken by released intents of the same pod; more than a few means that something loops. */
const nameTriesMax = 16
const claimTriesMax = 5

export type Reserved =
  /** `ready`: every claimed device was advertised already, so that the acknowledgement is a matter of moments. */
  { readonly ok: true; readonly ready: boolean } | { readonly ok: false; readonly reason: string }

export class Reservations {
  readonly #cluster: KubeClient
  readonly #ledger: Ledger
  readonly #log: Log

  constructor(cluster: KubeClient, ledger: Ledger, log: Log) {
    this.#cluster = cluster
    this.#ledger = ledger
    this.#log = log
  }

  async reserve(nodeName: string, claim: Claim, demand: Demand): Promise<Reserved> {
    const before = this.#ledger.claimsOf(claim.uid)
    const serves = (claimed: ENIAttachment) =>
      claimed.spec.nodeName === nodeName && this.#ledger.isOnItsInstance(claimed)
    await this.free(before.filter((claimed) => !serves(claimed) || !isUsable(claimed)))
    const verdict = checkNode(this.#ledger, nodeName, demand, claim.uid)
    if (!verdict.fits) return { ok: false, reason: verdict.refusal }
    const taken: ENIAttachment[] = []
    try {
      for (const plan of verdict.plans) {
        for (const idle of plan.reuse) {
          const claimed = await this.#claim(idle, claim)
          if (claimed === undefined) return await this.#lost(taken)
          taken.push(claimed)
        }
        for (const [ordinal, nodeENI] of plan.attach.entries()) {
          taken.push(await this.#intend(nodeName, nodeENI, plan, ordinal, claim))
        }
      }
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return this.#lost(taken)
      await this.free(taken)
      throw error
    }
    const claimed = this.#ledger.claimsOf(claim.uid)
    return { ok: true, ready: claimed.every(({ status }) => status?.device?.advertised === true) }
  }

  /** Another pod was faster; the scheduler's next try sees the new state. */
  async #lost(taken: readonly ENIAttachment[]): Promise<Reserved> {
    await this.free(taken)
    return { ok: false, reason: 'ENI was taken by another pod, trying again' }
  }

  /** Gives claims back. An intent without an ENI is withdrawn; an attached ENI stays for the next pod until releaseAfter ends. */
  async free(claimed: readonly ENIAttachment[]): Promise<void> {
    await Promise.all(claimed.map((attachment) => this.#freeOne(attachment)))
  }

  async #freeOne(attachment: ENIAttachment): Promise<void> {
    const podUID = attachment.spec.claim?.uid
    try {
      const freed = await this.#writeClaim(attachment, undefined, ({ spec }) => spec.claim?.uid === podUID)
      if (freed !== undefined && freed.status?.eni === undefined) await this.#withdraw(freed)
    } catch (error) {
      // The attacher frees the claims of pods that ended or are bound elsewhere, so nothing leaks when this fails.
      if (isNotFound(error)) return
      this.#log.warn({ attachment: attachment.metadata.name, err: error }, 'claim not freed')
    }
  }

  async #withdraw(intent: ENIAttachment): Promise<void> {
    try {
      await deleteAttachment(this.#cluster, intent)
    } catch (error) {
      // The attacher has begun with it meanwhile: it is an idle ENI like any other.
      if (!isConflict(error)) throw error
    }
  }

  /** undefined: another pod has it. */
  async #claim(idle: ENIAttachment, claim: Claim): Promise<ENIAttachment | undefined> {
    const isOurs = (current: ENIAttachment) => isIdle(current) || current.spec.claim?.uid === claim.uid
    return this.#writeClaim(idle, claim, (current) => isUsable(current) && isOurs(current))
  }

  /**
   * The device plugin and the attacher write to the object as well: while `may` says yes to what they wrote, that is no reason
   * to give up. undefined: it said no.
   */
  async #writeClaim(
    attachment: ENIAttachment,
    claim: Claim | undefined,
    may: (current: ENIAttachment) => boolean,
  ): Promise<ENIAttachment | undefined> {
    let current = attachment
    for (let attempt = 1; ; attempt++) {
      try {
        const written = await setClaim(this.#cluster, current, claim, extenderManager)
        this.#ledger.assume(written)
        return written
      } catch (error) {
        if (!isConflict(error) || attempt === claimTriesMax) throw error
        current = await readAttachment(this.#cluster, attachment.metadata.name)
        this.#ledger.assume(current)
        if (!may(current)) return undefined
      }
    }
  }

  /** The name is a hash of what is wanted, so that a repeated bind finds the intent of the first one. */
  async #intend(
    nodeName: string,
    nodeENI: NodeENI,
    { resource, mine, reuse }: ResourcePlan,
    ordinal: number,
    claim: Claim,
  ): Promise<ENIAttachment> {
    const instanceID = this.#ledger.node(nodeName)?.instanceID
    if (instanceID === undefined) throw new Error(`node ${nodeName} has no instance id`)
    const spec = { nodeENI: nodeENI.metadata.name, nodeName, instanceID, resourceName: resource, claim }
    const place = mine.length + reuse.length + ordinal
    for (let attempt = 0; attempt < nameTriesMax; attempt++) {
      const name = attachmentName(spec.nodeENI, [claim.uid, resource, place, attempt])
      const intent = await this.#createOrAdopt(name, spec)
      if (intent === undefined) continue
      this.#ledger.assume(intent)
      return intent
    }
    throw new Error(
      `no free name for an ENIAttachment of pod ${claim.namespace}/${claim.name} after ${nameTriesMax} tries`,
    )
  }

  async #createOrAdopt(name: string, spec: ENIAttachment['spec']): Promise<ENIAttachment | undefined> {
    try {
      return await createAttachment(this.#cluster, newAttachment(name, spec), extenderManager)
    } catch (error) {
      if (!isConflict(error)) throw error
    }
    const existing = await readAttachment(this.#cluster, name)
    const { nodeName, instanceID, claim } = existing.spec
    const ours = nodeName === spec.nodeName && instanceID === spec.instanceID && claim?.uid === spec.claim?.uid
    return ours && isUsable(existing) ? existing : undefined
  }
}
