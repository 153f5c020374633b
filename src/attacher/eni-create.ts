// How an ENI is planned and made, or found again: never a second one while the first may exist.
import { createHash } from 'node:crypto'

import type { ENIAttachment, EniStatus } from '../api/eni-attachment.ts'
import type { NodeENI } from '../api/node-eni.ts'
import { timestamp } from '../process/clock.ts'
import type { KeyMutex } from '../process/key-mutex.ts'
import type { Eni } from './ec2.ts'
import { isEc2 } from './ec2-error.ts'
import type { EniAttachParts } from './eni-attach.ts'
import { eniDescription, eniTags } from './eni-identity.ts'
import { nextAttempt } from './eni-placement.ts'
import type { GivenUp } from './eni-plan.ts'
import { lookOf } from './eni-watch.ts'
import type { Network } from './network.ts'
import { ourEnis, tryOf } from './our-enis.ts'
import { urgencyOf } from './urgency.ts'

/** EC2 forgets client tokens after a time that it does not tell. */
const tokenGoodMs = 60 * 60_000
/** A pod that runs is moved to no other ENI. */
export const lostAdvice = 'a pod that had it needs to be deleted, and gets another'

/** An ENI as it is stored and as EC2 has just shown it. */
export interface Made {
  readonly attachment: ENIAttachment
  readonly eni: Eni
}

export interface EniCreateParts extends EniAttachParts {
  /** By instance: two plans at the same time would choose the same device index. */
  readonly planning: KeyMutex
}

export class EniCreate {
  readonly #parts: EniCreateParts

  constructor(parts: EniCreateParts) {
    this.#parts = parts
  }

  /**
   * Takes the intent to an ENI that is there. `networkOf` is asked only while there is none yet. 'wait': it does not know yet.
   * @throws Ec2Error or KubeError to be tried again.
   */
  async make(
    intent: ENIAttachment,
    nodeENI: NodeENI,
    networkOf: () => Promise<Network | GivenUp | undefined>,
    signal: AbortSignal,
  ): Promise<Made | GivenUp | 'wait'> {
    const { planning } = this.#parts
    // An attach may have been asked for, and its answer lost: EC2 knows no client token for it.
    if (intent.status?.eni?.eniID !== undefined) {
      const eni = await this.find(intent, signal)
      return 'reason' in eni ? eni : { attachment: intent, eni }
    }
    const network = await networkOf()
    if (network === undefined) return 'wait'
    if ('reason' in network) return network
    if (intent.status?.eni?.subnetID !== undefined) return this.#resume(intent, nodeENI, network, signal)
    const planned = await planning.run(intent.spec.instanceID, () => {
      signal.throwIfAborted()
      return this.#plan(intent, nodeENI, network)
    })
    if ('reason' in planned) return planned
    try {
      return await this.#create(planned, nodeENI, network, signal)
    } catch (error) {
      // Refused at its first try: there is no ENI to look for, unless that of a plan of before.
      if (isEc2(error, 'SubnetExhausted', 'Configuration'))
        await this.#forgetPlan(planned, intent.status?.eni?.plannedTime)
      throw error
    }
  }

  /** Stores subnet, card, index and attempt before EC2 hears of them: the client token stands for exactly these. */
  async #plan(intent: ENIAttachment, nodeENI: NodeENI, network: Network): Promise<ENIAttachment | GivenUp> {
    const { store, placement, clock } = this.#parts
    const plan = await placement.choose(intent, nodeENI, network)
    if ('reason' in plan) return plan
    const { subnet, networkCard, deviceIndex } = plan
    const attempt = nextAttempt(intent)
    const plannedTime = timestamp(clock)
    const firstDeviceIndex = nodeENI.spec.deviceIndex
    const place = { subnetID: subnet.id, cidr: subnet.cidr, networkCard, deviceIndex, firstDeviceIndex }
    return store.writeEni(intent, { attempt, ...place, plannedTime })
  }

  /** A try of before may have made the ENI, and its answer was lost. */
  async #resume(planned: ENIAttachment, nodeENI: NodeENI, network: Network, signal: AbortSignal): Promise<Made> {
    const { clock } = this.#parts
    const eni = eniStatusOf(planned)
    // EC2 may not answer the token with that ENI any more.
    if (clock.now() - Date.parse(eni.plannedTime ?? '') > tokenGoodMs) return this.#adopt(planned, network, signal)
    try {
      return await this.#create(planned, nodeENI, network, signal)
    } catch (error) {
      if (isEc2(error, 'TokenMismatch')) return this.#adopt(planned, network, signal)
      if (!isEc2(error, 'SubnetExhausted', 'Configuration')) throw error
      // Rights and parameters are looked at before the token.
      const found = await this.#adoptShown(planned, network, signal)
      if (found !== undefined) return found
      await this.#forgetPlan(planned, eni.plannedTime)
      throw error
    }
  }

  async #create(planned: ENIAttachment, nodeENI: NodeENI, network: Network, signal: AbortSignal): Promise<Made> {
    const { store, networks, clock, log } = this.#parts
    const eni = eniStatusOf(planned)
    try {
      const created = await this.#parts.ec2(urgencyOf(planned), signal).createEni({
        clientToken: this.#clientToken(planned, eni.attempt ?? 0),
        subnetID: eni.subnetID ?? '',
        securityGroupIDs: network.securityGroupIDs,
        description: eniDescription(planned, nodeENI),
        tags: eniTags(planned, nodeENI, this.#parts.clusterName),
        secondaryPrivateIPv4AddressCount: nodeENI.spec.secondaryPrivateIPv4AddressCount,
        ipv6AddressCount: nodeENI.spec.ipv6AddressCount,
      })
      log.info({ attachment: planned.metadata.name, node: planned.spec.nodeName, eni: created.id }, 'ENI created')
      const attachment = await store.writeEni(planned, createdStatus(eni, created, timestamp(clock)))
      return { attachment, eni: created }
    } catch (error) {
      if (isEc2(error, 'SubnetExhausted')) networks.markExhausted(eni.subnetID ?? '')
      throw error
    }
  }

  /** The token of a plan is used up or old: the ENI of its first try exists, or will show, or never was; and it is ours. */
  async #adopt(planned: ENIAttachment, network: Network, signal: AbortSignal): Promise<Made> {
    const found = await this.#adoptShown(planned, network, signal)
    const isGone = this.#parts.absences.isGone(tryOf(planned), found)
    if (found !== undefined) return found
    if (!isGone)
      throw new Error(`ENI of ${planned.metadata.name} may be there without EC2 showing it yet, looking again`)
    await this.#forgetPlan(planned)
    throw new Error(`ENI of ${planned.metadata.name}: the client token is used up, trying with the next`)
  }

  async #adoptShown(planned: ENIAttachment, network: Network, signal: AbortSignal): Promise<Made | undefined> {
    const { store, watch, clock } = this.#parts
    const { cidr: _, ...eni } = eniStatusOf(planned)
    const [found] = await ourEnis(watch, planned, lookOf(planned, signal))
    if (found === undefined) return undefined
    // It may be of a plan of before, in another subnet.
    const cidr = network.subnets.find(({ id }) => id === found.subnetID)?.cidr
    const place = { subnetID: found.subnetID, ...(cidr !== undefined && { cidr }) }
    const status = createdStatus({ ...eni, ...place }, found, timestamp(clock))
    return { attachment: await store.writeEni(planned, status), eni: found }
  }

  /** `plannedTime` stays where an ENI may still show: the release goes on looking for it. */
  async #forgetPlan(planned: ENIAttachment, plannedTime?: string): Promise<void> {
    const { attempt } = eniStatusOf(planned)
    await this.#parts.store.writeEni(planned, {
      ...(attempt !== undefined && { attempt }),
      ...(plannedTime !== undefined && { plannedTime }),
    })
  }

  /**
   * EC2's picture of an ENI that was made. Unknown for longer than EC2 may be behind: it was deleted, make another, but not under a
   * pod that had this one.
   */
  async find(created: ENIAttachment, signal: AbortSignal): Promise<Eni | GivenUp> {
    const { eniID = '' } = eniStatusOf(created)
    const found = await this.#parts.watch.next(eniID, lookOf(created, signal))
    const isGone = this.#parts.absences.isGone(eniID, found)
    if (found !== undefined) return found
    if (!isGone) throw new Error(`EC2 does not show ENI ${eniID} yet, looking again`)
    if (this.#parts.store.isHeld(created))
      return { reason: 'ENILost', message: `ENI ${eniID} was deleted by somebody else; ${lostAdvice}` }
    await this.#forgetPlan(created)
    throw new Error(`ENI ${eniID} was deleted by somebody else, making another`)
  }

  #clientToken({ metadata }: ENIAttachment, attempt: number): string {
    return createHash('sha256').update(`${this.#parts.clusterName}\0${metadata.uid}\0${attempt}`).digest('hex')
  }
}

/** Without what was noted of a failed try: the next step that succeeds ends it. */
export function eniStatusOf({ status }: ENIAttachment): EniStatus {
  const { failure: _, ...rest } = status?.eni ?? {}
  return rest
}

function createdStatus(planned: EniStatus, eni: Eni, createdTime: string): EniStatus {
  return { ...planned, eniID: eni.id, mac: eni.mac, addresses: [...eni.addresses], createdTime }
}
