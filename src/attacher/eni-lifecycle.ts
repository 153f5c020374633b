// What happens to one ENI in EC2: planned, created, attached, settled; later detached and deleted. Every step is stored or
// idempotent, so that a crash between any two of them is repaired by going through them again.
import { createHash } from 'node:crypto'

import { type ENIAttachment, type EniStatus } from '../api/eni-attachment.ts'
import { attachmentTag, clusterTag, eniFinalizer, nodeENITag, noManageTag } from '../api/names.ts'
import type { NodeENI } from '../api/node-eni.ts'
import { type Clock, timestamp } from '../process/clock.ts'
import { KeyMutex } from '../process/key-mutex.ts'
import type { Log } from '../process/log.ts'
import type { AttachmentStore } from './attachment-store.ts'
import type { Ec2, Eni } from './ec2.ts'
import { isEc2 } from './ec2-error.ts'
import type { EniWatch } from './eni-watch.ts'
import type { Inventory } from './inventory.ts'
import type { Network, Networks } from './network.ts'
import { chooseSlot, type Slot } from './slot-map.ts'

/** Beyond this many taken indexes in a row the node is not what we think it is. */
const indexTriesMax = 5
/** EC2 may not know a new id for a while (EC2 API eventual consistency). */
const consistencyMs = 60_000
/** A detach or attach that takes longer is looked at anew from the start. */
const settleDeadlineMs = 5 * 60_000

export interface LifecycleParts {
  readonly ec2: Ec2
  readonly watch: EniWatch
  readonly store: AttachmentStore
  readonly inventory: Inventory
  readonly networks: Networks
  readonly clusterName: string
  readonly clock: Clock
  readonly log: Log
}

/** This try is over for good: what to tell the pod and the user. */
export interface GivenUp {
  readonly reason: string
  readonly message: string
}

export class EniLifecycle {
  readonly #parts: LifecycleParts
  /** Two plans for one node at the same time would choose the same device index. */
  readonly #planning = new KeyMutex()

  constructor(parts: LifecycleParts) {
    this.#parts = parts
  }

  /**
   * Takes the intent to an attached ENI. `networkOf` is asked only while there is no ENI yet: what is wrong with a NodeENI now
   * must not end what was made before. 'wait': it does not know yet. @throws Ec2Error or KubeError to be tried again.
   */
  async attach(
    intent: ENIAttachment,
    nodeENI: NodeENI,
    networkOf: () => Promise<Network | GivenUp | undefined>,
    signal: AbortSignal,
  ): Promise<ENIAttachment | GivenUp | 'wait'> {
    let attachment = intent
    if (attachment.status?.eni?.eniID === undefined) {
      const network = await networkOf()
      if (network === undefined) return 'wait'
      if ('reason' in network) return network
      const created = await this.#planAndCreate(attachment, nodeENI, network)
      if ('reason' in created) return created
      attachment = created
    }
    if (attachment.status?.eni?.attachmentID === undefined) {
      const attached = await this.#attachToInstance(attachment, nodeENI)
      if ('reason' in attached) return attached
      attachment = attached
    }
    return attachment.status?.eni?.attached === true ? attachment : this.#settle(attachment, nodeENI, signal)
  }

  async #planAndCreate(intent: ENIAttachment, nodeENI: NodeENI, network: Network): Promise<ENIAttachment | GivenUp> {
    if (intent.status?.eni?.subnetID !== undefined) return this.#create(intent, nodeENI, network)
    const planned = await this.#planning.run(intent.spec.nodeName, () => this.#plan(intent, nodeENI, network))
    return 'reason' in planned ? planned : this.#create(planned, nodeENI, network)
  }

  /** Stores subnet, card, index and attempt before EC2 hears of them: the client token stands for exactly these. */
  async #plan(intent: ENIAttachment, nodeENI: NodeENI, network: Network): Promise<ENIAttachment | GivenUp> {
    const { store, inventory, networks, clock } = this.#parts
    const { instanceID, nodeName } = intent.spec
    const instance = inventory.instance(instanceID) ?? (await inventory.refreshOne(instanceID))
    if (instance === undefined) return { reason: 'InstanceNotFound', message: `EC2 knows no instance ${instanceID}` }
    const siblings = store.onNode(nodeName).filter((other) => other.metadata.uid !== intent.metadata.uid)
    const subnet = chooseSubnet(network, networks, instance.zone, intent, siblings)
    if (subnet === undefined) {
      return {
        reason: 'NoUsableSubnet',
        message: `no subnet of NodeENI ${intent.spec.nodeENI} in ${instance.zone} has a free address`,
      }
    }
    const type = inventory.typeOf(instance)
    const taken = takenSlots(siblings, instance.interfaces)
    const slot = chooseSlot(type?.cards ?? [], taken, nodeENI.spec.deviceIndex)
    if (slot === undefined)
      return { reason: 'NodeFull', message: `instance ${instanceID} (${instance.type}) has no free ENI slot` }
    // EC2 accepts an attach beyond the budget and never ends it (aws-ebs-csi-driver issue 1163).
    const { sharedAttachments: budget } = type ?? {}
    if (budget !== undefined && taken.length + instance.volumes >= budget)
      return {
        reason: 'NodeFull',
        message: `instance ${instanceID} (${instance.type}) has no free attachment: its ${budget} are shared by ${taken.length} ENIs and ${instance.volumes} EBS volumes`,
      }
    const attempt = (intent.status?.eni?.attempt ?? 0) + 1
    return store.writeEni(intent, {
      attempt,
      subnetID: subnet.id,
      cidr: subnet.cidr,
      ...slot,
      plannedTime: timestamp(clock),
    })
  }

  async #create(planned: ENIAttachment, nodeENI: NodeENI, network: Network): Promise<ENIAttachment> {
    const { ec2, store, networks, clock, log } = this.#parts
    const eni = eniStatusOf(planned)
    try {
      const created = await ec2.createEni({
        clientToken: this.#clientToken(planned, eni.attempt ?? 0),
        subnetID: eni.subnetID ?? '',
        securityGroupIDs: network.securityGroupIDs,
        description: nodeENI.spec.description ?? `jit-eni ${planned.metadata.name}`,
        tags: this.#tags(planned, nodeENI),
        secondaryPrivateIPv4AddressCount: nodeENI.spec.secondaryPrivateIPv4AddressCount,
        ipv6AddressCount: nodeENI.spec.ipv6AddressCount,
      })
      log.info({ attachment: planned.metadata.name, node: planned.spec.nodeName, eni: created.id }, 'ENI created')
      return await store.writeEni(planned, createdStatus(eni, created, timestamp(clock)))
    } catch (error) {
      if (isEc2(error, 'SubnetExhausted')) networks.markExhausted(eni.subnetID ?? '')
      // EC2 answers a token that made an ENI with that ENI: refused, there is none to look for.
      if (isEc2(error, 'SubnetExhausted', 'Configuration')) await this.#forgetPlan(planned)
      if (isEc2(error, 'TokenMismatch')) return this.#adopt(planned, eni)
      throw error
    }
  }

  /** The NodeENI changed between two tries of one create: the ENI of the first try may exist, and then it is ours. */
  async #adopt(planned: ENIAttachment, eni: EniStatus): Promise<ENIAttachment> {
    const { store, clock } = this.#parts
    const [found] = await this.#ourEnis(planned)
    if (found !== undefined) return store.writeEni(planned, createdStatus(eni, found, timestamp(clock)))
    await this.#forgetPlan(planned)
    throw new Error(`ENI of ${planned.metadata.name}: the client token is used up, trying with the next`)
  }

  async #forgetPlan(planned: ENIAttachment): Promise<void> {
    const { attempt } = eniStatusOf(planned)
    await this.#parts.store.writeEni(planned, attempt === undefined ? {} : { attempt })
  }

  async #attachToInstance(created: ENIAttachment, nodeENI: NodeENI): Promise<ENIAttachment | GivenUp> {
    const { ec2, store } = this.#parts
    const { instanceID, nodeName } = created.spec
    let eni = eniStatusOf(created)
    for (let attempt = 0; attempt < indexTriesMax; attempt++) {
      const { eniID = '', deviceIndex = 0, networkCard = 0 } = eni
      try {
        const attachmentID = await ec2.attachEni(eniID, instanceID, deviceIndex, networkCard)
        return await store.writeEni(created, { ...eni, attachmentID })
      } catch (error) {
        if (isEc2(error, 'NodeFull', 'InstanceNotRunning')) {
          return { reason: error.code, message: error.message }
        }
        if (isEc2(error, 'NotFound', 'EniInUse')) {
          const known = await this.#lookAgain(created, eniID)
          if (known !== undefined) return store.writeEni(created, { ...eni, ...known })
        }
        if (!isEc2(error, 'IndexTaken')) throw error
      }
      const slot = await this.#nextSlot(created, nodeENI, { networkCard, deviceIndex })
      if (slot === undefined)
        return { reason: 'NodeFull', message: `instance ${instanceID} of node ${nodeName} has no free device index` }
      eni = { ...eni, ...slot }
    }
    return {
      reason: 'NoFreeDeviceIndex',
      message: `instance ${instanceID}: ${indexTriesMax} device indexes in a row were taken`,
    }
  }

  /** Attached to our instance: adopt. Unknown for longer than EC2 may be behind: it was deleted, make another. */
  async #lookAgain(created: ENIAttachment, eniID: string): Promise<Partial<EniStatus> | undefined> {
    const { ec2, clock } = this.#parts
    const [found] = await ec2.describeEnis([eniID])
    if (found?.attachment?.instanceID === created.spec.instanceID) {
      const { id: attachmentID, networkCard, deviceIndex } = found.attachment
      return { attachmentID, networkCard, deviceIndex }
    }
    const age = clock.now() - Date.parse(eniStatusOf(created).createdTime ?? '')
    if (found === undefined && age > consistencyMs) await this.#forgetPlan(created)
    return undefined
  }

  async #nextSlot(created: ENIAttachment, nodeENI: NodeENI, refused: Slot): Promise<Slot | undefined> {
    const { inventory, store } = this.#parts
    const instance = await inventory.refreshOne(created.spec.instanceID)
    if (instance === undefined) return undefined
    const siblings = store.onNode(created.spec.nodeName).filter((other) => other.metadata.uid !== created.metadata.uid)
    const taken = [...takenSlots(siblings, instance.interfaces), refused]
    return chooseSlot(inventory.typeOf(instance)?.cards ?? [], taken, nodeENI.spec.deviceIndex)
  }

  /** Waits for `attached`, and makes what belongs to the attachment as the NodeENI says. */
  async #settle(attaching: ENIAttachment, { spec }: NodeENI, signal: AbortSignal): Promise<ENIAttachment | GivenUp> {
    const { ec2, watch, store, clock, log } = this.#parts
    const eni = eniStatusOf(attaching)
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(settleDeadlineMs)])
    const createdMs = Date.parse(eni.createdTime ?? '')
    const isLost = (now: Eni | undefined) => now?.attachment === undefined && clock.now() - createdMs > consistencyMs
    const isAttached = (now: Eni | undefined) => now?.attachment?.status === 'attached'
    const seen = await watch.until(eni.eniID ?? '', (now) => isAttached(now) || isLost(now), deadline)
    if (seen?.attachment === undefined) {
      return { reason: 'ENILost', message: `ENI ${eni.eniID} was detached or deleted by somebody else` }
    }
    if (seen.attachment.deleteOnTermination !== spec.deleteOnTermination) {
      await ec2.setDeleteOnTermination(seen.id, seen.attachment.id, spec.deleteOnTermination)
    }
    if (seen.sourceDestCheck !== spec.sourceDestCheck) await ec2.setSourceDestCheck(seen.id, spec.sourceDestCheck)
    log.info({ attachment: attaching.metadata.name, node: attaching.spec.nodeName, eni: seen.id }, 'ENI attached')
    const current = store.get(attaching.metadata.name) ?? attaching
    return store.writeEni(current, { ...eniStatusOf(current), attached: true, attachedTime: timestamp(clock) })
  }

  /** Takes the ENI out of EC2, then lets the object go. Never forced: the device plugin has let go of the card before. */
  async release(attachment: ENIAttachment, signal: AbortSignal): Promise<void> {
    const { ec2, watch, store, log } = this.#parts
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(settleDeadlineMs)])
    const seen = await this.#ourEnis(attachment)
    for (const found of seen) {
      if (found.attachment !== undefined) {
        if (found.attachment.status !== 'detaching') await ignoreNotFound(ec2.detachEni(found.attachment.id))
        await watch.until(found.id, (now) => now === undefined || isFree(now), deadline)
      }
      await ignoreNotFound(ec2.deleteEni(found.id))
      log.info({ attachment: attachment.metadata.name, node: attachment.spec.nodeName, eni: found.id }, 'ENI deleted')
    }
    if (seen.length === 0 && this.#mayShowLater(attachment))
      throw new Error(`ENI of ${attachment.metadata.name} may be there without EC2 showing it yet, looking again`)
    await store.removeFinalizer(attachment, eniFinalizer)
  }

  /** A create whose answer was lost, or one just made, may become visible only later; until then the object stays. */
  #mayShowLater({ status }: ENIAttachment): boolean {
    const { plannedTime, createdTime, attachedTime } = status?.eni ?? {}
    // What was attached has been seen: now that it is not there, it is deleted.
    if (attachedTime !== undefined) return false
    const since = createdTime ?? plannedTime
    return since !== undefined && this.#parts.clock.now() - Date.parse(since) < consistencyMs
  }

  /** By id where it is known, by our tag where a create may have been cut off, and nothing where EC2 was never called. */
  async #ourEnis(attachment: ENIAttachment): Promise<Eni[]> {
    const { ec2 } = this.#parts
    const eni = attachment.status?.eni
    if (eni?.eniID !== undefined) return ec2.describeEnis([eni.eniID])
    if (eni?.plannedTime === undefined) return []
    return ec2.describeEnisByTag(attachmentTag, attachment.metadata.uid)
  }

  #clientToken({ metadata }: ENIAttachment, attempt: number): string {
    return createHash('sha256').update(`${this.#parts.clusterName}\0${metadata.uid}\0${attempt}`).digest('hex')
  }

  #tags({ metadata, spec }: ENIAttachment, nodeENI: NodeENI): Map<string, string> {
    return new Map([
      ...Object.entries(nodeENI.spec.tags ?? {}),
      ['Name', `${spec.nodeENI}/${spec.nodeName}`],
      [noManageTag, 'true'],
      [clusterTag, this.#parts.clusterName],
      [attachmentTag, metadata.uid],
      [nodeENITag, spec.nodeENI],
    ])
  }
}

function eniStatusOf(attachment: ENIAttachment): EniStatus {
  return attachment.status?.eni ?? {}
}

function createdStatus(planned: EniStatus, eni: Eni, createdTime: string): EniStatus {
  const { failure: _, ...rest } = planned
  return { ...rest, eniID: eni.id, mac: eni.mac, addresses: [...eni.addresses], createdTime }
}

/** JIT: the zone's subnet with most free addresses. Eager: one ENI per subnet, in the order of the NodeENI. */
function chooseSubnet(
  { subnets }: Network,
  networks: Networks,
  zone: string,
  intent: ENIAttachment,
  siblings: readonly ENIAttachment[],
) {
  const usable = subnets.filter((subnet) => subnet.zone === zone && !networks.isExhausted(subnet))
  if (intent.spec.claim !== undefined) return usable.toSorted((a, b) => b.freeAddresses - a.freeAddresses)[0]
  const used = new Set(
    siblings.filter(({ spec }) => spec.nodeENI === intent.spec.nodeENI).map(({ status }) => status?.eni?.subnetID),
  )
  return usable.find(({ id }) => !used.has(id)) ?? usable.toSorted((a, b) => b.freeAddresses - a.freeAddresses)[0]
}

/** Slots that EC2 shows, and those planned by our other attachments that EC2 does not show yet. */
function takenSlots(siblings: readonly ENIAttachment[], interfaces: readonly Slot[]): Slot[] {
  const planned = siblings.flatMap(({ status }) => {
    const { networkCard, deviceIndex } = status?.eni ?? {}
    return networkCard === undefined || deviceIndex === undefined ? [] : [{ networkCard, deviceIndex }]
  })
  const key = ({ networkCard, deviceIndex }: Slot) => `${networkCard}/${deviceIndex}`
  return [...new Map([...interfaces, ...planned].map((slot) => [key(slot), slot])).values()]
}

/** Detach is over when the attachment has disappeared and the ENI is available again. */
function isFree(eni: Eni): boolean {
  return eni.attachment === undefined && eni.status === 'available'
}

async function ignoreNotFound(call: Promise<void>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (!isEc2(error, 'NotFound')) throw error
  }
}
