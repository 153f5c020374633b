// The steps that change the interface of a kernel-bound ENI, each with its journal entry first: what it was before us must be
// known to whichever process releases it.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { Log } from '../process/log.ts'
import { logFields } from './card-steps.ts'
import type { WorkOutcome } from './card-work.ts'
import type { HostLink, LinkChange } from './host-links.ts'
import type { Journal } from './journal.ts'
import { refusalOfCarrier } from './kernel-plan.ts'
import { restoration } from './link-plan.ts'
import { type KnownCard, macOf } from './match.ts'
import type { DevicePluginMetrics } from './metrics.ts'
import type { NodeLinks } from './node-links.ts'
import type { Step, StepFailure } from './step.ts'

export interface LinkStepsOptions {
  readonly journal: Journal
  readonly links: NodeLinks
  readonly metrics: DevicePluginMetrics
  readonly log: Log
}

export class LinkSteps {
  readonly #options: LinkStepsOptions

  constructor(options: LinkStepsOptions) {
    this.#options = options
  }

  async set(attachment: ENIAttachment, step: Step & { kind: 'set-link' }): Promise<WorkOutcome> {
    const { journal, metrics, log } = this.#options
    const { card, link, changes, record, isCorrection } = step
    const { driver = 'none', pciAddress, inode } = card
    try {
      await journal.write({
        bootID: journal.bootID,
        pciAddress,
        inode,
        mac: macOf(attachment) ?? '',
        eniID: attachment.status?.eni?.eniID ?? '',
        attachment: attachment.metadata.name,
        attachmentUID: attachment.metadata.uid,
        ...(attachment.spec.resourceName !== undefined && { resourceName: attachment.spec.resourceName }),
        originalDriver: driver,
        wantedDriver: driver,
        link: record,
      })
    } catch (error) {
      return failed('JournalFailed', `journal entry for ${pciAddress} not written: ${String(error)}`)
    }
    if (isCorrection) metrics.linkCorrections.inc()
    const failure = await this.#make(attachment, link, changes)
    if (failure !== undefined) return { kind: 'failed', failure }
    const { mtu, altName } = record
    if (!isCorrection)
      log.info({ ...logFields(attachment, card), interface: link.name, mtu, altName }, 'interface set up')
    return { kind: 'done' }
  }

  async restore(attachment: ENIAttachment, card: KnownCard): Promise<WorkOutcome> {
    const { journal, links, log } = this.#options
    const { entry } = card
    if (entry?.link === undefined) return { kind: 'done' }
    const shown = await links.show()
    if (shown.kind === 'failed') return failed('RestoreFailed', shown.message)
    const names = new Set(card.interfaces.map(({ name }) => name))
    const link = shown.links.find(({ name, mac }) => names.has(name) && mac === macOf(attachment))
    // Renamed or gone since the scan, as the next try sees; or never to be seen, and then it must not be tried at full speed.
    if (link === undefined) {
      const message = `no interface with MAC ${macOf(attachment)} in the network namespace of the device plugin, though sysfs shows ${[...names].join(', ')}; run it with hostNetwork and the sysfs of the host`
      return failed('RestoreFailed', message)
    }
    const carried = refusalOfCarrier(link)
    if (carried !== undefined) return { kind: 'failed', failure: carried }
    const failure = await this.#make(attachment, link, restoration(link, entry.link))
    if (failure !== undefined) return { kind: 'failed', failure: { ...failure, reason: 'RestoreFailed' } }
    const { link: _, ...rest } = entry
    await journal.write(rest)
    log.info({ ...logFields(attachment, card), interface: link.name }, 'interface restored')
    return { kind: 'done' }
  }

  async #make(
    { spec }: ENIAttachment,
    link: HostLink,
    changes: readonly LinkChange[],
  ): Promise<StepFailure | undefined> {
    if (changes.length === 0) return undefined
    const outcome = await this.#options.links.change(link, changes)
    switch (outcome.kind) {
      case 'changed':
      // It went into a pod meanwhile: what is still to do is seen when it comes back.
      case 'gone':
        return undefined
      case 'name-taken': {
        const message = `interface ${link.name} cannot be called ${outcome.altName}, as another interface of the node is; set interfaceName of NodeENI ${spec.nodeENI} to another name`
        return { reason: 'InterfaceNameTaken', message, terminal: false }
      }
      case 'failed':
        return { reason: 'InterfaceNotSet', message: `interface ${link.name}: ${outcome.message}`, terminal: false }
    }
  }
}

function failed(reason: StepFailure['reason'], message: string): WorkOutcome {
  return { kind: 'failed', failure: { reason, message, terminal: false } }
}
