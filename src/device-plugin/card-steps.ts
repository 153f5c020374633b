// The steps that change something on the node, each with its journal entry first, so that a crash between any two lines is
// repaired by the next process.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { Log } from '../process/log.ts'
import type { AttachmentWrites } from './attachment-writes.ts'
import type { WorkOutcome } from './card-work.ts'
import type { DeviceFiles } from './device-files.ts'
import type { MonotonicClock } from './monotonic-clock.ts'
import type { DriverBinding, DriverChange } from './driver-binding.ts'
import { type HostLinks, useOfLink } from './host-links.ts'
import type { Journal } from './journal.ts'
import { type KnownCard, macOf } from './match.ts'
import type { DevicePluginMetrics } from './metrics.ts'
import { noIommuAdvice } from './no-iommu-mode.ts'
import type { PciCard } from './pci-scan.ts'
import type { StepFailure } from './step.ts'
import { cardInUse } from './refusals.ts'
import type { SignsOfUse } from './signs-of-use.ts'

export interface CardStepsOptions {
  readonly journal: Journal
  readonly binding: DriverBinding
  readonly signs: SignsOfUse
  readonly files: DeviceFiles
  readonly links: HostLinks
  readonly scan: () => readonly PciCard[]
  readonly writes: AttachmentWrites
  /** This process, and with it perhaps the node, has just started. */
  readonly isNodeNew: () => boolean
  readonly clock: MonotonicClock
  readonly metrics: DevicePluginMetrics
  readonly log: Log
}

export class CardSteps {
  readonly #options: CardStepsOptions

  constructor(options: CardStepsOptions) {
    this.#options = options
  }

  /** The journal entry of a card that has its userspace driver still, again. */
  async adopt(attachment: ENIAttachment, card: KnownCard, kernelDriver: string | undefined): Promise<WorkOutcome> {
    const { driver = 'none' } = card
    const notNoted = await this.#note(attachment, { ...card, driver: kernelDriver }, driver)
    if (notNoted !== undefined) return notNoted
    this.#options.log.warn({ ...logFields(attachment, card), driver }, 'card recognised without its journal entry')
    return { kind: 'done' }
  }

  async bind(attachment: ENIAttachment, card: KnownCard, driver: string): Promise<WorkOutcome> {
    const { binding, clock, journal, metrics, log } = this.#options
    const startedAt = clock.monotonic()
    const inUse = (await this.#whoHas(card)) ?? (await this.#useByHost(card))
    if (inUse !== undefined) return inUse
    const notNoted = await this.#note(attachment, card, driver)
    if (notNoted !== undefined) return notNoted
    const change = await binding.bind(card, driver)
    const ms = Math.round(clock.monotonic() - startedAt)
    metrics.driverChangeSeconds.observe({ driver, outcome: change.kind }, ms / 1000)
    if (change.kind === 'done') log.info({ ...logFields(attachment, card), driver, ms }, 'card bound')
    // With the kernel's driver it shows its MAC again: a later try need not know of this one.
    if (change.kind === 'failed' && change.driver !== undefined && change.driver !== driver) {
      await journal.forget(attachment.metadata.uid)
    }
    if (change.kind === 'failed' && change.noIommuMode !== undefined) {
      return this.#lacksIommu(change.message, change.noIommuMode)
    }
    return outcomeOf('BindFailed', change)
  }

  /** Writes the device's nodes into the CDI spec file of its resource. */
  async describe(resource: string, card: KnownCard): Promise<WorkOutcome> {
    const { pciAddress } = card
    try {
      await this.#options.files.describe(resource, card)
      return { kind: 'done' }
    } catch (error) {
      return failed('SpecNotWritten', `CDI spec of ${resource} not written for ${pciAddress}: ${String(error)}`)
    }
  }

  async restore(attachment: ENIAttachment, card: KnownCard): Promise<WorkOutcome> {
    const { binding, clock, metrics, log } = this.#options
    const inUse = await this.#whoHas(card)
    if (inUse !== undefined) return inUse
    const startedAt = clock.monotonic()
    const change = await binding.restore(card)
    const ms = Math.round(clock.monotonic() - startedAt)
    const driver = binding.driverOf(card)
    metrics.driverChangeSeconds.observe({ driver: 'kernel', outcome: change.kind }, ms / 1000)
    if (change.kind === 'done') log.info({ ...logFields(attachment, card), driver, ms }, 'card restored')
    return outcomeOf('RestoreFailed', change)
  }

  /** Nothing of the card is ours any more. `card`: a bind of it may have been cut off after its first write. */
  async finish(
    attachment: ENIAttachment,
    pciAddress: string | undefined,
    card: KnownCard | undefined,
  ): Promise<WorkOutcome> {
    const { binding, journal, writes, log } = this.#options
    if (card !== undefined) {
      const cleared = await binding.clearOverride(card)
      if (cleared.kind === 'stuck') return outcomeOf('RestoreFailed', cleared)
    }
    await journal.forget(attachment.metadata.uid)
    await writes.endFinalizer(attachment)
    log.info({ ...logFields(attachment), pciAddress }, 'card released')
    return { kind: 'done' }
  }

  /** A node that has just started may yet switch the mode on; a vfio that is built without it never has it. */
  #lacksIommu(found: string, mode: 'off' | 'absent'): WorkOutcome {
    const terminal = mode === 'absent' || !this.#options.isNodeNew()
    return { kind: 'failed', failure: { reason: 'NoIOMMU', message: `${found}; ${noIommuAdvice[mode]}`, terminal } }
  }

  /** Only a card with a userspace driver can be open in a process. */
  async #whoHas(card: KnownCard): Promise<WorkOutcome | undefined> {
    const sign = await this.#options.signs.of(card)
    return sign === undefined ? undefined : { kind: 'failed', failure: cardInUse(card.pciAddress, sign) }
  }

  /** The last look before the card is taken: sysfs has no addresses, and the scan is some milliseconds old. */
  async #useByHost({ interfaces, pciAddress, inode }: KnownCard): Promise<WorkOutcome | undefined> {
    if (interfaces.length === 0) return undefined
    const shown = await this.#options.links.show()
    if (shown.kind === 'failed') return failed('HostLinksUnknown', shown.message)
    // By MAC: udev may have renamed it. What stands on it, a VLAN say, shows the same.
    const links = shown.links.filter(({ mac }) => interfaces.some((seen) => seen.mac === mac))
    const now = this.#options.scan().find((card) => card.pciAddress === pciAddress && card.inode === inode)
    if (now?.interfaces.length !== interfaces.length) {
      return failed('InterfaceInUse', `the interface of ${pciAddress} has just left the node; it may be in a pod`)
    }
    // Nothing is known of an interface that sysfs shows and netlink does not: its addresses are in another network namespace.
    const unseen = interfaces.find(({ mac }) => !links.some((link) => link.mac === mac))
    if (unseen !== undefined) {
      const message = `interface ${unseen.name} of ${pciAddress} is in sysfs and not in the network namespace of the device plugin; run it with hostNetwork and the sysfs of the host`
      return failed('HostLinksUnknown', message)
    }
    const used = links.map((link) => ({ link, use: useOfLink(link) })).find(({ use }) => use !== undefined)
    if (used === undefined) return undefined
    return failed('InterfaceInUse', `interface ${used.link.name} of ${pciAddress} ${used.use}; it is left alone`)
  }

  async #note(attachment: ENIAttachment, card: KnownCard, wantedDriver: string): Promise<WorkOutcome | undefined> {
    const { journal } = this.#options
    const { eniID } = attachment.status?.eni ?? {}
    const { resourceName } = attachment.spec
    try {
      await journal.write({
        bootID: journal.bootID,
        pciAddress: card.pciAddress,
        inode: card.inode,
        mac: macOf(attachment) ?? '',
        eniID: eniID ?? '',
        attachment: attachment.metadata.name,
        attachmentUID: attachment.metadata.uid,
        ...(resourceName !== undefined && { resourceName }),
        ...originalDriverOf(card),
        wantedDriver,
      })
      return undefined
    } catch (error) {
      return failed('JournalFailed', `journal entry for ${card.pciAddress} not written: ${String(error)}`)
    }
  }
}

/** The same keys in every line about a card. */
export function logFields(attachment: ENIAttachment, card?: { readonly pciAddress: string }): object {
  const { eniID, mac } = attachment.status?.eni ?? {}
  return {
    attachment: attachment.metadata.name,
    eni: eniID,
    mac,
    resource: attachment.spec.resourceName,
    ...(card && { pciAddress: card.pciAddress }),
  }
}

/** At a second try the card may have no driver, or already the one it is to have: the first note still says which it had. */
function originalDriverOf({ driver, entry }: KnownCard): { readonly originalDriver?: string } {
  const original = entry === undefined ? driver : entry.originalDriver
  return original === undefined ? {} : { originalDriver: original }
}

function outcomeOf(reason: StepFailure['reason'], change: DriverChange): WorkOutcome {
  switch (change.kind) {
    case 'done':
      return change
    case 'failed':
      return failed(change.isInUse === true ? 'CardInUse' : reason, change.message)
    case 'stuck':
      return { ...change, failure: { reason: 'SysfsStuck', message: change.message, terminal: false } }
  }
}

function failed(reason: StepFailure['reason'], message: string): WorkOutcome {
  return { kind: 'failed', failure: { reason, message, terminal: false } }
}
