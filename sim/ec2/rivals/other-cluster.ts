// A second cluster in the same account that runs the same controller: its interfaces carry the same tag names with another cluster's
// value, are attached to its instances (which may be anybody's here) or wait, available. Nobody else may touch them.
// Models: interfaces that come, are attached, detached and deleted, and what was made of them by others (`harmed`).
// Does not model: a controller; the calls (nothing of this is in the log, is throttled or asks IAM).
// Source: our own tags (src/api/names.ts); two clusters in one VPC are common at EKS.

import { attachmentTag, clusterTag, nodeENITag, noManageTag } from '../../../src/api/names.ts'
import { attachNetworkInterface } from '../state/attach-network-interface.ts'
import { createNetworkInterface } from '../state/create-network-interface.ts'
import { deleteNetworkInterface } from '../state/delete-network-interface.ts'
import { detachNetworkInterface } from '../state/detach-network-interface.ts'
import type { Random } from '../state/duration.ts'
import type { Ec2State } from '../state/ec2-state.ts'
import { modifyNetworkInterface } from '../state/modify-network-interface.ts'

import { oneOf } from './choice.ts'
import { lowestFreeIndex } from './free-index.ts'
import { refusalOf } from './refused.ts'

export interface OtherClusterOptions {
  readonly clusterName: string
  readonly subnetIds: readonly string[]
  /** Those that it attaches to. */
  readonly instanceIds: readonly string[]
  readonly random: Random
}

/** How the other cluster left an interface. */
interface Left {
  readonly tags: ReadonlyMap<string, string>
  instanceId: string | undefined
}

const description = 'of another cluster'

export class OtherCluster {
  readonly #state: Ec2State
  readonly #options: OtherClusterOptions
  readonly #left = new Map<string, Left>()
  #made = 0

  constructor({ state }: { readonly state: Ec2State }, options: OtherClusterOptions) {
    this.#state = state
    this.#options = options
  }

  /** Those that it has not deleted itself. */
  get eniIds(): readonly string[] {
    return [...this.#left.keys()]
  }

  /** Undefined when EC2 refused. */
  create(subnetId = oneOf(this.#options.subnetIds, this.#options.random)): string | undefined {
    const tags = new Map([
      [noManageTag, 'true'],
      [clusterTag, this.#options.clusterName],
      [attachmentTag, `${this.#options.clusterName}-${++this.#made}`],
      [nodeENITag, 'theirs'],
    ])
    let eniId: string | undefined
    refusalOf(() => {
      eniId = createNetworkInterface(this.#state, { subnetId: subnetId ?? '', description, tags }).eniId
    })
    if (eniId !== undefined) this.#left.set(eniId, { tags, instanceId: undefined })
    return eniId
  }

  /** With DeleteOnTermination, at the lowest free index of card 0. Returns EC2's code if it refused. */
  attach(eniId: string, instanceId = oneOf(this.#options.instanceIds, this.#options.random) ?? ''): string | undefined {
    return refusalOf(() => {
      const slot = { networkCard: 0, deviceIndex: lowestFreeIndex(this.#state, instanceId, 0) }
      const { attachmentId } = attachNetworkInterface(this.#state, { eniId, instanceId, ...slot })
      const change = { attribute: 'attachment', attachmentId, deleteOnTermination: true } as const
      modifyNetworkInterface(this.#state, eniId, [change])
      this.#leave(eniId, instanceId)
    })
  }

  detach(eniId: string): string | undefined {
    return refusalOf(() => {
      const attachmentId = this.#state.eni(eniId).attachment?.attachmentId ?? 'eni-attach-0'
      detachNetworkInterface(this.#state, { attachmentId })
      this.#leave(eniId, undefined)
    })
  }

  delete(eniId: string): string | undefined {
    return refusalOf(() => {
      deleteNetworkInterface(this.#state, eniId)
      this.#left.delete(eniId)
    })
  }

  /** One move by chance. */
  step(): void {
    const eniId = oneOf(this.eniIds, this.#options.random)
    const moves = [
      () => this.create(),
      ...(eniId === undefined ? [] : [() => this.attach(eniId), () => this.detach(eniId), () => this.delete(eniId)]),
    ]
    oneOf(moves, this.#options.random)?.()
  }

  /** What others did to its interfaces; empty if nothing. What goes with an instance goes by EC2's own rules. */
  harmed(): string[] {
    return [...this.#left].flatMap(([eniId, left]) => {
      const harm = this.#harmTo(eniId, left)
      return harm === undefined ? [] : [`${eniId} ${harm}`]
    })
  }

  #harmTo(eniId: string, left: Left): string | undefined {
    const eni = this.#state.findEni(eniId)
    const instance = this.#state.instances().find(({ instanceId }) => instanceId === left.instanceId)
    const wentWithInstance =
      left.instanceId !== undefined && (instance === undefined || instance.state === 'terminated')
    if (eni === undefined) return wentWithInstance ? undefined : 'is gone'
    if (!sameTags(eni.tags, left.tags)) return `has other tags: ${JSON.stringify([...eni.tags])}`
    if (eni.description !== description || !eni.sourceDestCheck) return 'has other attributes'
    const { attachment } = eni
    if (left.instanceId === undefined) {
      return attachment === undefined || attachment.status === 'detaching'
        ? undefined
        : `is on ${attachment.instanceId}`
    }
    if (instance === undefined || instance.state === 'shutting-down' || instance.state === 'terminated')
      return undefined
    if (attachment?.instanceId !== left.instanceId) return `is on ${attachment?.instanceId}, not on ${left.instanceId}`
    if (attachment.status === 'detaching') return `is being taken off ${left.instanceId}`
    return attachment.deleteOnTermination ? undefined : 'lost DeleteOnTermination'
  }

  #leave(eniId: string, instanceId: string | undefined): void {
    const left = this.#left.get(eniId)
    if (left !== undefined) left.instanceId = instanceId
  }
}

function sameTags(tags: ReadonlyMap<string, string>, others: ReadonlyMap<string, string>): boolean {
  return tags.size === others.size && [...tags].every(([key, value]) => others.get(key) === value)
}
