// What must be true at every moment, whatever has happened: looked at after every change of EC2 and after every step of the model,
// and for every call that the attacher makes.
import { simulatedCredentials } from '../../../sim/ec2/credentials.ts'
import type { Call } from '../../../sim/ec2/wire/call-log.ts'
import type { OtherCluster } from '../../../sim/ec2/rivals/other-cluster.ts'
import { forceDetachAnnotation } from '../../../src/api/names.ts'
import type { NodeENI } from '../../../src/api/node-eni.ts'
import { brokenNow } from '../lab/invariants.ts'
import type { Lab } from '../lab/lab.ts'
import type { EniRecord, MadeEni } from './eni-record.ts'

export interface AlwaysParts {
  readonly lab: Lab
  readonly record: EniRecord
  readonly otherCluster: OtherCluster
  /** Slots that stay free for VPC CNI. */
  readonly cniSlots: number
  readonly onBroken: (what: string) => void
}

export class Always {
  readonly #parts: AlwaysParts
  /** The highest that a NodeENI ever said, by UID: an edit does not reach an attach that has begun. */
  readonly #maxPerNode = new Map<string, number>()
  readonly #uids = new Map<string, string>()
  /** UIDs of ENIAttachments whose detach somebody wants to be forced. */
  readonly #toForce = new Set<string>()

  constructor(parts: AlwaysParts) {
    this.#parts = parts
    const { api, ec2 } = parts.lab
    api.store('nodeenis').onChange(({ object }) => this.#learnMaximum(object as unknown as NodeENI))
    api.store('eniattachments').onChange(({ object }) => {
      if (object.metadata.annotations?.[forceDetachAnnotation] === 'true') this.#toForce.add(object.metadata.uid)
    })
    ec2.state.watch(() => this.look())
    ec2.calls.on((call) => this.#lookAtCall(call))
  }

  look(): void {
    const { lab, record, onBroken } = this.#parts
    const broken = [
      ...brokenNow(lab.scene, record),
      ...record.unwanted,
      ...this.#beyondMaximum(),
      ...this.#beyondRoom(),
    ]
    for (const what of broken) onBroken(what)
  }

  /** Not in the middle of what the other cluster does itself. */
  lookAtOthers(): void {
    for (const harm of this.#parts.otherCluster.harmed()) this.#parts.onBroken(`of the other cluster: ${harm}`)
  }

  #learnMaximum({ metadata, spec }: NodeENI): void {
    const before = this.#uids.get(metadata.name) === metadata.uid ? (this.#maxPerNode.get(metadata.name) ?? 0) : 0
    this.#uids.set(metadata.name, metadata.uid)
    this.#maxPerNode.set(metadata.name, Math.max(before, spec.maxPerNode ?? Infinity))
  }

  #beyondMaximum(): string[] {
    const groups = Map.groupBy(this.#unmeddled(), ({ nodeENI, instanceID }) => `${nodeENI} on ${instanceID}`)
    return [...groups].flatMap(([where, enis]) => {
      const most = this.#maxPerNode.get(enis[0]?.nodeENI ?? '') ?? Infinity
      return enis.length <= most
        ? []
        : [`${enis.length} ENIs of NodeENI ${where}: its maxPerNode was never above ${most}`]
    })
  }

  /** Never into the slots kept for VPC CNI. */
  #beyondRoom(): string[] {
    const { lab, record, cniSlots } = this.#parts
    return lab.ec2.state.instances().flatMap(({ instanceId, limits }) => {
      const onCard = lab.ec2.state
        .enisOn(instanceId)
        .filter(({ eniId }) => record.get(eniId)?.instanceID === instanceId && !record.isMeddledWith(eniId))
        .filter(({ attachment }) => attachment?.networkCard === 0).length
      const room = (limits.cards[0] ?? 0) - 1 - cniSlots
      return onCard > room
        ? [`${instanceId} has ${onCard} ENIs of ours on card 0, where there is room for ${room}`]
        : []
    })
  }

  #lookAtCall(call: Call): void {
    const { action, parameters } = call
    if (!isOurs(call) || action.startsWith('Describe')) return
    const { record, onBroken } = this.#parts
    const { NetworkInterfaceId, AttachmentId, InstanceId, Force } = parameters
    const attachment = record.attachment(AttachmentId ?? '')
    const eniID = NetworkInterfaceId ?? parameters['ResourceId.1'] ?? attachment?.eniID
    if (action === 'CreateNetworkInterface') return
    const made = record.get(eniID ?? '')
    if (made === undefined) return onBroken(`${action} of ${eniID ?? AttachmentId}, which is not ours`)
    const instanceID = InstanceId ?? attachment?.instanceID ?? made.instanceID
    if (instanceID !== made.instanceID)
      onBroken(`${action} of ${eniID} on ${instanceID}, though it was made for ${made.instanceID}`)
    if (Force === 'true' && !this.#mayForce(made))
      onBroken(`${action} of ${eniID} (${made.name} on ${made.instanceID}) is forced on a live node`)
  }

  #mayForce({ instanceID, owner }: MadeEni): boolean {
    const instance = this.#parts.lab.ec2.state.instances().find(({ instanceId }) => instanceId === instanceID)
    return this.#toForce.has(owner) || (instance?.state ?? 'terminated') === 'terminated'
  }

  #unmeddled(): MadeEni[] {
    const { record } = this.#parts
    return record.present().flatMap(({ made }) => (record.isMeddledWith(made.eniID) ? [] : [made]))
  }
}

/** A call of the attacher. */
export function isOurs({ accessKeyId }: Call): boolean {
  return accessKeyId === simulatedCredentials.accessKeyId
}
