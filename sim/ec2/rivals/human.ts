// Somebody with a console and every right, who does to interfaces what nobody expects: detaches them, deletes them (after a detach),
// moves them to another instance, takes their tags away, turns DeleteOnTermination and the source/dest check round.
// Models: what EC2 lets the owner of an account do, with EC2's refusals; a delete and a move go on once the detach is through,
// however long that takes within `patienceMs`, and whatever others do meanwhile.
// Does not model: calls (nothing of this is in the log, is throttled or asks IAM) and eventual consistency of what the human sees.
// Source: issues of the peers where this happened (VPC CNI 608 and 725, terraform-provider-aws 146), EC2 API reference.

import { attachNetworkInterface } from '../state/attach-network-interface.ts'
import { deleteNetworkInterface } from '../state/delete-network-interface.ts'
import { detachNetworkInterface } from '../state/detach-network-interface.ts'
import type { Random } from '../state/duration.ts'
import type { Ec2State } from '../state/ec2-state.ts'
import { modifyNetworkInterface } from '../state/modify-network-interface.ts'
import { refusals } from '../state/refusals.ts'
import { deleteTags } from '../state/tags.ts'

import { oneOf } from './choice.ts'
import { lowestFreeIndex } from './free-index.ts'
import { refusalOf } from './refused.ts'

/** How often somebody looks whether a detach is through, and how long. */
const lookEveryMs = 2000
const patienceMs = 10 * 60_000

export class Human {
  readonly #state: Ec2State
  readonly #random: Random
  readonly #deeds: string[] = []

  constructor({ state }: { readonly state: Ec2State }, random: Random) {
    this.#state = state
    this.#random = random
  }

  /** What was done and what became of it, for the message of a test that fails. */
  get deeds(): readonly string[] {
    return this.#deeds
  }

  /** Every deed returns EC2's code if it refused. */
  detach(eniId: string): string | undefined {
    return this.#do(`detach ${eniId}`, () => detachNetworkInterface(this.#state, this.#attachmentOf(eniId)))
  }

  /** Of an attached interface the detach comes first, and its outcome is returned. */
  delete(eniId: string): string | undefined {
    const remove = () => this.#do(`delete ${eniId}`, () => deleteNetworkInterface(this.#state, eniId))
    return this.#isAttached(eniId) ? this.#detachAndThen(eniId, remove) : remove()
  }

  /** To the lowest free index of card 0. */
  move(eniId: string, instanceId: string): string | undefined {
    const attach = () =>
      this.#do(`attach ${eniId} to ${instanceId}`, () => {
        const slot = { networkCard: 0, deviceIndex: lowestFreeIndex(this.#state, instanceId, 0) }
        attachNetworkInterface(this.#state, { eniId, instanceId, ...slot })
      })
    return this.#isAttached(eniId) ? this.#detachAndThen(eniId, attach) : attach()
  }

  /** All of them unless told. */
  removeTags(eniId: string, keys: readonly string[] = []): string | undefined {
    const tags = keys.map((key) => ({ key, value: undefined }))
    return this.#do(`take ${keys.join(', ') || 'all'} tags of ${eniId}`, () => deleteTags(this.#state, [eniId], tags))
  }

  flipDeleteOnTermination(eniId: string): string | undefined {
    return this.#do(`flip DeleteOnTermination of ${eniId}`, () => {
      const { attachmentId } = this.#attachmentOf(eniId)
      const deleteOnTermination = this.#state.eni(eniId).attachment?.deleteOnTermination !== true
      modifyNetworkInterface(this.#state, eniId, [{ attribute: 'attachment', attachmentId, deleteOnTermination }])
    })
  }

  flipSourceDestCheck(eniId: string): string | undefined {
    return this.#do(`flip the source/dest check of ${eniId}`, () => {
      const value = !this.#state.eni(eniId).sourceDestCheck
      modifyNetworkInterface(this.#state, eniId, [{ attribute: 'sourceDestCheck', value }])
    })
  }

  /** One deed by chance to one of these interfaces. Nothing where there is none. */
  meddle(eniIds: readonly string[]): string | undefined {
    const eniId = oneOf(eniIds, this.#random)
    if (eniId === undefined) return undefined
    const instanceIds = this.#state.instances().map((instance) => instance.instanceId)
    const deeds = [
      () => this.detach(eniId),
      () => this.delete(eniId),
      () => this.move(eniId, oneOf(instanceIds, this.#random) ?? ''),
      () => this.removeTags(eniId),
      () =>
        this.removeTags(eniId, [oneOf([...(this.#state.findEni(eniId)?.tags.keys() ?? [])], this.#random) ?? 'Name']),
      () => this.flipDeleteOnTermination(eniId),
      () => this.flipSourceDestCheck(eniId),
    ]
    return oneOf(deeds, this.#random)?.()
  }

  #do(what: string, act: () => void): string | undefined {
    const refused = refusalOf(act)
    this.#deeds.push(`${what}: ${refused ?? 'done'}`)
    return refused
  }

  #isAttached(eniId: string): boolean {
    return this.#state.findEni(eniId)?.attachment !== undefined
  }

  #attachmentOf(eniId: string): { readonly attachmentId: string } {
    const { attachment } = this.#state.eni(eniId)
    if (attachment === undefined) throw refusals.attachmentNotFound(eniId)
    return attachment
  }

  /** One that is detaching already needs no second detach. */
  #detachAndThen(eniId: string, then: () => void): string | undefined {
    const detaching = this.#state.eni(eniId).attachment?.status === 'detaching'
    const refused = detaching ? undefined : this.detach(eniId)
    if (refused === undefined) this.#lookUntilDetached(eniId, then, this.#state.clock.now() + patienceMs)
    return refused
  }

  #lookUntilDetached(eniId: string, then: () => void, until: number): void {
    this.#state.clock.after(lookEveryMs, () => {
      const eni = this.#state.findEni(eniId)
      if (eni === undefined) return
      if (eni.attachment === undefined) return then()
      if (this.#state.clock.now() < until) this.#lookUntilDetached(eniId, then, until)
    })
  }
}
