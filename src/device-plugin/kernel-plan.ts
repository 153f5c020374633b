// The next step for an ENI that stays with the kernel's driver: its interface is set up and named, and then, with a resource,
// offered to pods, whose CNI moves it into their network namespace and whose end brings it back.
import { useElsewhere, useOfLink, type HostLink } from './host-links.ts'
import { isRecorded, linkChanges, recordOf, type WantedLink } from './link-plan.ts'
import { type KnownCard, macOf } from './match.ts'
import type { Situation } from './plan.ts'
import type { Step, StepFailure } from './step.ts'
import { refusalOfOpenCard } from './refusals.ts'
import { isKernelDriver } from './userspace-driver.ts'

/** What is known of the card's interface beyond its name. */
export type LinkFacts =
  /** In a pod, say: sysfs shows the interfaces of the node's own network namespace. */
  | { readonly kind: 'out-of-sight' }
  /** No look has been made yet that could show it. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unreadable'; readonly message: string }
  /** sysfs shows it and netlink does not. */
  | { readonly kind: 'hidden'; readonly name: string }
  | { readonly kind: 'seen'; readonly link: HostLink }

/** `ready` is the step when nothing has to be done first. */
export function kernelStep(situation: Situation, card: KnownCard, ready: Step): Step {
  const { entry } = card
  if (card.driver === undefined || (entry !== undefined && card.driver !== entry.originalDriver)) {
    return strayStep(situation, card)
  }
  const { linkFacts } = situation
  const isOurs = isSetUp(situation, card)
  const uplink = uplinkOf(situation, card)
  if (uplink !== undefined) return inUse(card, uplink, 'has a default route')
  if (ready.kind === 'refuse') return ready
  switch (linkFacts.kind) {
    case 'out-of-sight':
      return ready
    case 'unknown':
      // What was well a moment ago is taken to be so still.
      return isOurs ? ready : wait('the interfaces of the node have not been looked at')
    case 'unreadable':
      return isOurs ? ready : refuse('InterfaceNotSet', linkFacts.message)
    case 'hidden': {
      const message = `interface ${linkFacts.name} of ${card.pciAddress} is in sysfs and not in the network namespace of the device plugin; run it with hostNetwork and the sysfs of the host`
      return isOurs ? ready : refuse('InterfaceNotSet', message)
    }
    case 'seen':
      return linkStep(situation, card, linkFacts.link, ready)
  }
}

/** Somebody has given the card to another driver. One that pods ask for goes back as soon as none can have it. */
function strayStep({ attachment, listed, occupancy, work }: Situation, card: KnownCard): Step {
  const { driver, entry, pciAddress } = card
  const isForPods = attachment.spec.resourceName !== undefined
  const message = `${pciAddress} has driver ${driver ?? 'none'} instead of ${entry?.originalDriver ?? 'one of the kernel'}`
  const changed = refuse('DriverChanged', isForPods ? `${message}; it is given back when no pod has it` : message)
  // Whoever gave a plain one to another driver may want it so.
  if (entry === undefined || (driver !== undefined && (!isForPods || isKernelDriver(driver)))) {
    return refuse('DriverChanged', message)
  }
  if (listed === 'ours') return { kind: 'leave-list', failure: changed.failure }
  if (isForPods && occupancy !== 'free') return changed
  const refusal = refusalOfOpenCard(card)
  if (refusal !== undefined) return { kind: 'refuse', failure: refusal }
  if (work.kind !== 'backing-off') return { kind: 'restore', card }
  return work.failure === undefined ? wait('backing off') : { kind: 'refuse', failure: work.failure }
}

/**
 * udev renames an interface 50 to 100 ms after it appears, and before Linux 6.2 one that is up cannot be renamed (EBUSY,
 * dev_change_name in net/core/dev.c): set up at once it would be eth1 for ever. Where nobody renames interfaces
 * (net.ifnames=0) nothing says so, and all of this time is waited.
 */
const renamedWithinMs = 3_000

function linkStep(situation: Situation, card: KnownCard, link: HostLink, ready: Step): Step {
  const { work, wantedLink } = situation
  const record = card.entry?.link
  const use = isSetUp(situation, card) ? undefined : useOfLink(link)
  if (use !== undefined) return inUse(card, link.name, use)
  // Without its NodeENI nothing says how it is to be.
  if (wantedLink === undefined) return record === undefined ? wait('the NodeENI is not known') : ready
  const tooLarge = excessOf(situation, link, wantedLink)
  if (tooLarge !== undefined) return refuse('MTUTooLarge', tooLarge)
  const changes = linkChanges(wantedLink, link, record)
  const isKnown = isRecorded(wantedLink, link, record)
  if (changes.length === 0 && isKnown) return ready
  if (work.kind === 'backing-off' && work.failure !== undefined) return { kind: 'refuse', failure: work.failure }
  if (record === undefined && mayBeRenamed(situation, card, link)) {
    return { kind: 'wait', why: 'udev may be about to rename the interface', soon: true }
  }
  // It was as it should be before, so it is somebody else who has changed it.
  const isCorrection = isKnown && situation.attachment.status?.device?.interface !== undefined
  if (work.kind === 'backing-off' || (isCorrection && !situation.isCorrectionDue)) {
    return record === undefined ? wait('backing off') : ready
  }
  return { kind: 'set-link', card, link, changes, record: recordOf(wantedLink, link, record), isCorrection }
}

function mayBeRenamed({ cardAgeMs }: Situation, card: KnownCard, link: HostLink): boolean {
  const { hasKernelName = false } = card.interfaces.find(({ name }) => name === link.name) ?? {}
  return hasKernelName && cardAgeMs < renamedWithinMs && !link.isUp
}

/**
 * At its release: the interface as it was before us; undefined when there is nothing to put back, or nothing to put it back on.
 * Of an ENI with a resource the kubelet has said by then that no pod has it; who has a plain one, only its absence tells, or what
 * stands on it.
 */
export function linkRestoreStep({ attachment, linkFacts }: Situation, card: KnownCard): Step | undefined {
  if (card.entry?.link === undefined) return undefined
  const carried = linkFacts.kind === 'seen' ? refusalOfCarrier(linkFacts.link) : undefined
  if (carried !== undefined) return { kind: 'refuse', failure: carried }
  if (linkFacts.kind !== 'out-of-sight') return { kind: 'restore-link', card }
  if (attachment.spec.resourceName !== undefined) return undefined
  const message = `the interface of ${card.pciAddress} with MAC ${macOf(attachment)} is in another network namespace, that of a pod as a rule; it is released when it has come back, at the end of that pod`
  return refuse('InterfaceInUse', message)
}

/** Pods share the interface; they would lose their network with it. */
export function refusalOfCarrier(link: HostLink): StepFailure | undefined {
  const use = useElsewhere(link)
  if (use === undefined) return undefined
  const message = `interface ${link.name} with MAC ${link.mac} ${use}; it is released when they are gone, at the end of those pods`
  return { reason: 'InterfaceInUse', message, terminal: false }
}

/**
 * Addresses and routes that users give an interface which we have set up are their right; before that they say that somebody
 * else needs it. A default route through an interface that is to go into a pod would cut the node off.
 */
function uplinkOf(situation: Situation, card: KnownCard): string | undefined {
  const isForPods = situation.attachment.spec.resourceName !== undefined
  if (isSetUp(situation, card) && !isForPods) return undefined
  return card.interfaces.find(({ name }) => situation.host.uplinks.has(name))?.name
}

/** By the journal; after a reboot, which empties it, by what the ENIAttachment says of the time before. */
function isSetUp({ attachment }: Situation, card: KnownCard): boolean {
  return card.entry?.link !== undefined || attachment.status?.device?.interface !== undefined
}

function excessOf({ attachment }: Situation, link: HostLink, { mtu }: WantedLink): string | undefined {
  if (mtu === undefined || link.maxMtu === undefined || mtu <= link.maxMtu) return undefined
  return `mtu ${mtu} is above ${link.maxMtu}, the most that interface ${link.name} with MAC ${macOf(attachment)} can have; lower mtu of NodeENI ${attachment.spec.nodeENI}`
}

function inUse(card: KnownCard, name: string, use: string): Step {
  return refuse('InterfaceInUse', `interface ${name} of ${card.pciAddress} ${use}; it is left alone`)
}

function wait(why: string): Step {
  return { kind: 'wait', why }
}

function refuse(reason: StepFailure['reason'], message: string): Step & { readonly kind: 'refuse' } {
  return { kind: 'refuse', failure: { reason, message, terminal: false } }
}
