// The next step for one ENIAttachment of this node, decided from facts alone. reconciler.ts gathers the facts and takes the step.
import { type ENIAttachment, isDeleting } from '../api/eni-attachment.ts'
import { deviceFinalizer } from '../api/names.ts'
import type { HostNetwork } from './host-network.ts'
import { kernelStep, type LinkFacts, linkRestoreStep } from './kernel-plan.ts'
import type { WantedLink } from './link-plan.ts'
import type { KnownCard, Match } from './match.ts'
import { macOf } from './match.ts'
import type { GroupMate } from './pci-scan.ts'
import { refusalBesideOurOwn, refusalOfGroup, refusalOfOpenCard, refusalOfPrimary, refusalToTake } from './refusals.ts'
import type { Step, StepFailure, WorkState } from './step.ts'
import { hasDeviceNode, isKernelDriver } from './userspace-driver.ts'

/** What tells the node's primary interface, besides its routes. */
export interface PrimaryInterface {
  /** By the instance metadata, where that can be reached. */
  readonly mac: string | undefined
  /** By which the kubelet is reached. */
  readonly addresses: readonly string[]
}

export interface Situation {
  readonly attachment: ENIAttachment
  readonly match: Match
  /** Driver that the card is to have: a userspace driver, the kernel's own, or not known while the NodeENI is not. */
  readonly wanted: { readonly userspace: string } | 'kernel' | 'unknown'
  /** Of the driver that is wanted; `awaited`: the node may still be loading it. */
  readonly driver: 'there' | 'awaited' | 'missing'
  /** NodeENI's dpdkPCIAddress. */
  readonly expectedAddress: string | undefined
  /** Of the NodeENI; undefined while that is not known. */
  readonly generation: number | undefined
  readonly host: HostNetwork
  readonly primary: PrimaryInterface
  /** Its vendor and device are among those that the setting allows. */
  readonly isAllowed: boolean
  /** Functions of the card's IOMMU group that somebody else uses. */
  readonly foreignMates: readonly GroupMate[]
  /** Another card of ours in that group, which is offered instead of this one. */
  readonly groupSpokenFor: string | undefined
  /** Whose device is in one of the kubelet's lists at this card's address, or in a pod by that address. */
  readonly listed: 'nobody' | 'ours' | 'another'
  readonly occupancy: 'unknown' | 'free' | 'taken' | 'forgotten'
  /** Of the interface of a card that stays with the kernel's driver. */
  readonly linkFacts: LinkFacts
  /** Since this process saw it first; 0 while there is none. */
  readonly cardAgeMs: number
  /** undefined while the NodeENI is not known. */
  readonly wantedLink: WantedLink | undefined
  /** What others have changed on the interface was not set again just before. */
  readonly isCorrectionDue: boolean
  /** A journal entry for this attachment, of whatever card. */
  readonly isJournaled: boolean
  /** Why its resource cannot be served. */
  readonly resourceProblem: string | undefined
  /** A container that starts with the device gets this card's nodes. */
  readonly isDescribed: boolean
  readonly work: WorkState
}

export function nextStep(situation: Situation): Step {
  return isDeleting(situation.attachment) ? releaseStep(situation) : useStep(situation)
}

/** A card that shows no MAC and has no journal entry: first its entry, then all else; without one it is left alone. */
function recoveryStep(situation: Situation): Step | undefined {
  const { attachment, match, work, occupancy } = situation
  if (match.kind === 'unidentified') {
    const { pciAddress } = match
    const message = `the card at ${pciAddress} shows no MAC and nothing proves that it has ${macOf(attachment)}; it is looked at when no pod can have it`
    return refuse('CardNotIdentified', message)
  }
  if (match.kind !== 'recovered') return undefined
  if (work.kind === 'running') return wait('work under way')
  if (work.kind === 'backing-off') return work.failure ? { kind: 'refuse', failure: work.failure } : wait('backing off')
  // Who holds it may contradict.
  if (hasResource(situation) && occupancy === 'unknown') return wait('the kubelet has not said who has what')
  return { kind: 'adopt', card: match.card, kernelDriver: match.kernelDriver }
}

function useStep(situation: Situation): Step {
  const { attachment, match, work, wanted, expectedAddress } = situation
  const earlier = attachment.status?.device?.failure
  if (earlier?.terminal === true) return { kind: 'refuse', failure: earlier as StepFailure }
  if (situation.resourceProblem !== undefined) {
    return refuseForGood(situation, 'ResourceNotServed', situation.resourceProblem)
  }
  const recovery = recoveryStep(situation)
  if (recovery !== undefined) return recovery
  if (match.kind === 'ambiguous') return refuse('AmbiguousMAC', ambiguity(attachment, match.pciAddresses))
  if (match.kind !== 'found') return { kind: 'await-card' }
  const { card } = match
  // Unbind takes the driver's link away before the driver gives up its interface (__device_release_driver, dd.c).
  if (card.driver === undefined && card.interfaces.length > 0) return wait('the card is being taken from its driver')
  if (work.kind === 'stuck') return { kind: 'refuse', failure: work.failure }
  // An interface that is set again is as good a device meanwhile.
  if (work.kind === 'running' && wanted === 'kernel' && situation.listed === 'ours' && situation.isDescribed) {
    return offerStep(situation, card)
  }
  if (work.kind === 'running') return wait('work under way')
  if (situation.listed === 'another')
    return wait('an earlier device at the same address has not left its list and its pod')
  if (wanted === 'unknown') return wait('the NodeENI is not known')
  if (card.entry === undefined && expectedAddress !== undefined && expectedAddress !== card.pciAddress) {
    const message = `the card with MAC ${macOf(attachment)} is at ${card.pciAddress}, dpdkPCIAddress says ${expectedAddress}`
    return refuseForGood(situation, 'PCIAddressMismatch', message)
  }
  const primary = refusalOfPrimary(situation, card)
  if (primary !== undefined) return { kind: 'refuse', failure: primary }
  if (isDetached(attachment)) {
    return refuse('ENIDetached', `EC2 says that ${attachment.status?.eni?.eniID} is not attached any more`)
  }
  if (card.entry === undefined && !situation.isAllowed) {
    const message = `${card.pciAddress} is a ${card.deviceID}, which JIT_ENI_ALLOWED_DEVICES does not name; it is left alone`
    return refuseForGood(situation, 'DeviceNotAllowed', message)
  }
  if (wanted !== 'kernel') return userspaceStep(situation, card, wanted.userspace)
  return kernelStep(situation, card, offerStep(situation, card))
}

function userspaceStep(situation: Situation, card: KnownCard, driver: string): Step {
  const { work } = situation
  if (card.driver === driver) return boundStep(situation, card, driver)
  if (situation.listed === 'ours') return { kind: 'leave-list', failure: driverChanged(card, driver) }
  const refusal = refusalToTake(situation, card)
  if (refusal !== undefined) return { kind: 'refuse', failure: refusal }
  if (situation.driver !== 'there') {
    const message = `the kernel has no driver ${driver}; load its module on the node`
    if (situation.driver === 'awaited') return refuse('DriverMissing', message)
    return refuseForGood(situation, 'DriverMissing', message)
  }
  if (work.kind === 'backing-off' && work.failure?.terminal === true) {
    return refuseForGood(situation, work.failure.reason, work.failure.message)
  }
  if (work.kind === 'backing-off' && work.failure !== undefined) return { kind: 'refuse', failure: work.failure }
  if (work.kind === 'backing-off') return wait('backing off')
  if (card.entry !== undefined && hasResource(situation) && situation.occupancy === 'taken') {
    return { kind: 'refuse', failure: driverChanged(card, driver) }
  }
  if (mayBeInAPod(situation, card)) return wait(`the device is ${situation.occupancy} in the kubelet`)
  return { kind: 'bind', card, driver }
}

/** Somebody has given a card of ours to another driver. It is bound again as soon as no pod can have it. */
function driverChanged({ pciAddress, driver }: KnownCard, wanted: string): StepFailure {
  const message = `somebody has given ${pciAddress} from ${wanted} to ${driver ?? 'no driver'}; it is bound again when no pod has it`
  return { reason: 'DriverChanged', message, terminal: false }
}

/** The card is where it should be; whether a pod could open it is another thing. */
function boundStep(situation: Situation, card: KnownCard, driver: string): Step {
  if (card.isNodeMissing) {
    return refuse('DeviceNodeMissing', `the device node of IOMMU group ${card.iommuGroup?.number} is not there`)
  }
  if (!hasDeviceNode(card)) {
    return refuse('BindFailed', `${driver} has ${card.pciAddress} and has made no device node for it`)
  }
  const refusal =
    refusalOfGroup(situation, card) ?? refusalBesideOurOwn(situation, card) ?? refusalOfStranger(situation, card)
  return refusal === undefined ? offerStep(situation, card) : { kind: 'refuse', failure: refusal }
}

/** Whoever has it open is in no pod that the kubelet knows of, and the next pod could not open it (vfio_group_fops_open: EBUSY). */
function refusalOfStranger(situation: Situation, card: KnownCard): StepFailure | undefined {
  return hasResource(situation) && situation.occupancy === 'free' ? refusalOfOpenCard(card) : undefined
}

/**
 * A card of a running pod must not change its driver; this also asks after the pods of an earlier life of this process. Only a
 * card that was bound once and has the kernel's driver again comes out of a reboot: no process has it, whatever the kubelet's
 * checkpoint says, and its pod waits for it.
 */
function mayBeInAPod(situation: Situation, card: KnownCard): boolean {
  if (!hasResource(situation) || situation.occupancy === 'free') return false
  return card.entry !== undefined || situation.attachment.status?.device?.boundTime === undefined
}

function offerStep(situation: Situation, card: KnownCard): Step {
  const { work, occupancy } = situation
  if (!hasResource(situation)) return { kind: 'offer', card }
  if (occupancy === 'unknown') return wait('the kubelet has not said who has what')
  if (situation.isDescribed) return occupancy === 'forgotten' ? forgotten(card) : { kind: 'offer', card }
  if (work.kind !== 'backing-off') return { kind: 'describe', card }
  return work.failure === undefined ? wait('backing off') : { kind: 'refuse', failure: work.failure }
}

/** Its pod runs on, and its containers may start again. */
function forgotten({ pciAddress }: KnownCard): Step {
  const message =
    `the kubelet has lost its record of the pod that has ${pciAddress} (kubelet_internal_checkpoint); ` +
    `the device is kept from other pods until that pod has ended`
  return refuse('ForgottenByKubelet', message)
}

/** A release takes effect when pod and claim are gone; until then all goes on as if there were none. */
function releaseStep(situation: Situation): Step {
  const { attachment, match, work, listed, occupancy } = situation
  if (attachment.metadata.finalizers?.includes(deviceFinalizer) !== true) return { kind: 'finished' }
  if (work.kind === 'running') return wait('work under way')
  const recovery = recoveryStep(situation)
  if (recovery !== undefined) return recovery
  const neverThere = macOf(attachment) === undefined && listed !== 'ours' && !situation.isJournaled
  if (!neverThere) {
    if (attachment.spec.claim !== undefined) return useStep(situation)
    if (hasResource(situation) && (occupancy === 'taken' || occupancy === 'forgotten')) return useStep(situation)
    if (listed === 'ours') return isOffered(useStep(situation), listed) ? { kind: 'withdraw' } : { kind: 'leave-list' }
  }
  if (work.kind === 'stuck') return { kind: 'refuse', failure: work.failure }
  if (isLeftWithoutDriver(situation) && match.kind === 'found') return { kind: 'finish', card: match.card }
  if (work.kind === 'backing-off' && work.failure !== undefined) return { kind: 'refuse', failure: work.failure }
  if (work.kind === 'backing-off') return wait('backing off')
  // Its card may still be with a userspace driver, and which one it is nobody can tell.
  if (match.kind === 'ambiguous' && situation.isJournaled) {
    return refuse('AmbiguousMAC', ambiguity(attachment, match.pciAddresses))
  }
  if (match.kind !== 'found' || match.card.entry === undefined) return { kind: 'finish' }
  if (isKernelDriver(match.card.driver)) {
    const finish: Step =
      typeof situation.wanted === 'string' ? { kind: 'finish' } : { kind: 'finish', card: match.card }
    return linkRestoreStep(situation, match.card) ?? finish
  }
  if (hasResource(situation) && occupancy !== 'free') return wait(`the device is ${occupancy} in the kubelet`)
  const inUse = refusalOfOpenCard(match.card)
  if (inUse !== undefined) return { kind: 'refuse', failure: inUse }
  return { kind: 'restore', card: match.card }
}

/**
 * Its restore was tried, and the kernel's driver does not take it: it hangs, say. Nobody has it, and a card without a driver can
 * be detached; an ENI that waited for such a card would stay for as long as its instance.
 */
function isLeftWithoutDriver({ match, work }: Situation): boolean {
  if (match.kind !== 'found' || match.card.driver !== undefined || match.card.isOpen) return false
  return work.kind === 'backing-off' && work.failure?.reason === 'RestoreFailed'
}

/** Whether the kubelet's list has the device as healthy: it goes on being offered while its interface is set again. */
export function isOffered(step: Step, listed: Situation['listed']): boolean {
  return step.kind === 'offer' || (step.kind === 'set-link' && listed === 'ours')
}

/** It was attached once; the attacher takes the mark away when EC2 says that it is no longer. */
function isDetached({ status }: ENIAttachment): boolean {
  return status?.eni?.attachedTime !== undefined && status.eni.attached !== true
}

function hasResource({ attachment }: Situation): boolean {
  return attachment.spec.resourceName !== undefined
}

function wait(why: string): Step {
  return { kind: 'wait', why }
}

function refuse(reason: StepFailure['reason'], message: string): Step {
  return { kind: 'refuse', failure: { reason, message, terminal: false } }
}

/** By what the NodeENI says now: when it says something else, the node is tried again. */
function refuseForGood({ generation }: Situation, reason: StepFailure['reason'], message: string): Step {
  const judgedBy = generation === undefined ? {} : { observedGeneration: generation }
  return { kind: 'refuse', failure: { reason, message, terminal: true, ...judgedBy } }
}

function ambiguity(attachment: ENIAttachment, pciAddresses: readonly string[]): string {
  return `MAC ${macOf(attachment)} is not of one card and one ENIAttachment alone: ${pciAddresses.join(', ')}`
}
