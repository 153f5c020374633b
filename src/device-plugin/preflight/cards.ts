// Every network card and what the device plugin would do with it, by the very rules of plan.ts: asked as if there were an
// ENIAttachment with the card's MAC, once of a NodeENI with enableDPDK and once of one without.
import { join } from 'node:path'

import { pino } from 'pino'

import { type ENIAttachment, newAttachment } from '../../api/eni-attachment.ts'
import { apiVersion } from '../../api/names.ts'
import { type NodeENI, nodeENISpecSchema } from '../../api/node-eni.ts'
import { CardWork } from '../card-work.ts'
import { DeviceLists } from '../device-lists.ts'
import { type HostLinks, type LinksShown, useOfLink } from '../host-links.ts'
import { type HostNetwork, readHostNetwork } from '../host-network.ts'
import { Journal } from '../journal.ts'
import { LinkCorrections } from '../link-corrections.ts'
import { type KnownCard, match } from '../match.ts'
import { systemClock } from '../monotonic-clock.ts'
import type { LinksView } from '../node-links.ts'
import { Occupancy } from '../occupancy.ts'
import { PciScanner } from '../pci-scan.ts'
import { nextStep } from '../plan.ts'
import type { Step } from '../step.ts'
import { type Knowledge, linkQuestionFor, situationOf } from '../situation.ts'
import { namesIn, textOf } from './host-files.ts'

const silent = pino({ level: 'silent' })

export interface CardPlaces {
  readonly sys: string
  readonly dev: string
  readonly proc: string
  readonly stateDir: string
  readonly allowedDevices: ReadonlySet<string>
  readonly links: Pick<HostLinks, 'show'>
}

export interface CardReport {
  readonly pciAddress: string
  readonly deviceID: string
  readonly driver: string | undefined
  /** What it shows, or else what the journal knows. */
  readonly mac: string | undefined
  readonly interfaces: readonly string[]
  readonly group: string | undefined
  readonly numaNode: number | undefined
  /** ENIAttachment for which it was bound, by the journal. */
  readonly ownedBy: string | undefined
  readonly withDPDK: string
  readonly withoutDPDK: string
}

/**
 * `canBindVfio`: false when it is known that the kernel would refuse.
 * @throws when the PCI bus or the node's routes cannot be read: then nothing is known to be safe.
 */
export async function cardReports(places: CardPlaces, canBindVfio = true): Promise<readonly CardReport[]> {
  const { sys, dev, proc, stateDir, allowedDevices, links } = places
  const bootID = textOf(`${proc}/sys/kernel/random/boot_id`) ?? ''
  const journal = new Journal(join(stateDir, 'cards'), bootID, silent)
  await journal.peek()
  const cards = new PciScanner(sys, dev).scan().map((card) => ({ ...card, entry: journal.of(card) }))
  const drivers = namesIn(`${sys}/bus/pci/drivers`)
  const node = {
    cards,
    journal,
    drivers,
    allowedDevices,
    host: readHostNetwork(proc),
    view: viewOf(await links.show(), cards),
    canBindVfio,
  }
  // The default, unless only the other one is there.
  const dpdkDriver = !drivers.includes('vfio-pci') && drivers.includes('igb_uio') ? 'igb_uio' : 'vfio-pci'
  return cards.map((card) => ({
    pciAddress: card.pciAddress,
    deviceID: card.deviceID,
    driver: card.driver,
    mac: macOfCard(card),
    interfaces: card.interfaces.map(({ name }) => name),
    group: card.iommuGroup && `${card.iommuGroup.number}${card.iommuGroup.noIommu ? ' (no IOMMU)' : ''}`,
    numaNode: card.numaNode,
    ownedBy: card.entry?.attachment,
    withDPDK: verdict(card, { enableDPDK: true, dpdkDriver }, node),
    withoutDPDK: verdict(card, { enableDPDK: false }, node),
  }))
}

interface NodeFindings {
  readonly cards: readonly KnownCard[]
  readonly journal: Journal
  readonly drivers: readonly string[]
  readonly allowedDevices: ReadonlySet<string>
  readonly host: HostNetwork
  readonly view: LinksView
  readonly canBindVfio: boolean
}

/** For each card as if there were no other ENIAttachment: another card in its IOMMU group is a stranger. */
function verdict(card: KnownCard, spec: object, node: NodeFindings): string {
  const mac = macOfCard(card)
  if (mac === undefined) return unnamed(card)
  const attachments = [attachmentFor(mac, card)]
  const demand = { attachments, nodeENIs: new Map([['preflight', nodeENIOf(spec)]]), resources: new Set<string>() }
  // Neither the API server nor the instance metadata are asked.
  const primary = { mac: undefined, addresses: [] }
  const findings = { demand, host: node.host, primary, matches: match(node.cards, attachments), altNames: new Map() }
  const [step] = attachments.map((attachment) =>
    nextStep(situationOf(attachment, findings, knowledgeOf(node), Number.POSITIVE_INFINITY)),
  )
  const use = step?.kind === 'bind' ? useOfCard(card, node.view) : undefined
  if (use !== undefined) return `refused, InterfaceInUse: ${use}`
  const text = step === undefined ? '' : textOfStep(step)
  if (step?.kind !== 'bind' || step.driver !== 'vfio-pci' || node.canBindVfio) return text
  return `${text}, which the kernel would refuse: see IOMMU`
}

/** The last look, just before a card is taken from the kernel's driver. */
function useOfCard({ pciAddress, interfaces }: KnownCard, view: LinksView): string | undefined {
  const link =
    view.kind === 'seen' ? view.links.find((one) => interfaces.some(({ mac }) => mac === one.mac)) : undefined
  const use = link && useOfLink(link)
  return use && `interface ${link?.name} of ${pciAddress} ${use}`
}

/** As of a kubelet that has listed its pods, and none has anything. */
function knowledgeOf({ journal, drivers, allowedDevices, view }: NodeFindings): Knowledge {
  const occupancy = new Occupancy()
  occupancy.observe({ startedAt: 0, holders: new Map() })
  return {
    journal,
    lists: new DeviceLists(() => undefined),
    occupancy,
    work: new CardWork(systemClock, silent, () => undefined),
    hasDriver: (driver) => drivers.includes(driver),
    mayDriverCome: () => false,
    allowedDevices,
    resourceProblem: () => undefined,
    isDescribed: () => true,
    links: { view },
    corrections: new LinkCorrections(systemClock),
  }
}

/** Every interface counts as asked for: one that is not there is hidden. */
function viewOf(shown: LinksShown, cards: readonly KnownCard[]): LinksView {
  if (shown.kind === 'failed') return shown
  const asked = cards.flatMap((card) => {
    const { uid } = attachmentFor('', card).metadata
    return card.interfaces.map(({ name }) => linkQuestionFor(uid, name))
  })
  return { kind: 'seen', asked: new Set(asked), links: shown.links }
}

function attachmentFor(mac: string, { entry }: KnownCard): ENIAttachment {
  const spec = { nodeENI: 'preflight', nodeName: 'preflight', instanceID: 'i-0', resourceName: 'preflight/any' }
  const attachment = newAttachment(entry?.attachment ?? 'preflight', spec) as Omit<ENIAttachment, 'status'>
  const uid = entry?.attachmentUID ?? 'preflight'
  return { ...attachment, metadata: { ...attachment.metadata, uid, resourceVersion: '0' }, status: { eni: { mac } } }
}

function nodeENIOf(spec: object): NodeENI {
  const parsed = nodeENISpecSchema.parse({
    nodeSelector: {},
    subnetID: 'subnet-0',
    securityGroupIDs: ['sg-0'],
    ...spec,
  })
  return { apiVersion, kind: 'NodeENI', metadata: { name: 'preflight', uid: '0', resourceVersion: '0' }, spec: parsed }
}

function macOfCard({ interfaces, entry }: KnownCard): string | undefined {
  return interfaces[0]?.mac ?? entry?.mac
}

function unnamed({ driver }: KnownCard): string {
  if (driver === undefined) return 'left alone: it has no driver, so nothing tells its MAC'
  return `left alone: ${driver} has it, it shows no interface here, and the journal does not know it`
}

function textOfStep(step: Step): string {
  switch (step.kind) {
    case 'bind':
      return `would be bound to ${step.driver}`
    case 'set-link':
      return `would be used with its driver ${step.card.driver}, its interface ${step.link.name} set up`
    case 'adopt':
    case 'describe':
    case 'offer':
      return `would be used with its driver ${step.card.driver}`
    case 'refuse':
      return `refused, ${step.failure.reason}: ${step.failure.message}`
    case 'wait':
      return `would wait: ${step.why}`
    case 'await-card':
    case 'withdraw':
    case 'leave-list':
    case 'restore':
    case 'restore-link':
    case 'finish':
    case 'finished':
      return step.kind
  }
}
