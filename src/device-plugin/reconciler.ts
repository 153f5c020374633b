// The one loop of the device plugin: scan, match, take the next step of each attachment, tell the kubelet, tell the cluster.
// A pass only reads directories and decides; whatever takes time runs beside it and pokes the loop when it ends.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { Log } from '../process/log.ts'
import { logChanges, reportOn } from './attachment-report.ts'
import { logFields, type CardSteps } from './card-steps.ts'
import type { CardVisits } from './card-visits.ts'
import type { OfferedDevice } from './device-lists.ts'
import type { DeviceFiles } from './device-files.ts'
import { altNames } from './alt-names.ts'
import type { MonotonicClock } from './monotonic-clock.ts'
import { HealthDamping } from './health-damping.ts'
import type { HostNetwork } from './host-network.ts'
import type { LinkSteps } from './link-steps.ts'
import type { NodeLinks } from './node-links.ts'
import type { KubeletWatch } from './kubelet-view.ts'
import { LoopHealth } from './loop-health.ts'
import { type KnownCard, macOf, match } from './match.ts'
import type { DevicePluginMetrics } from './metrics.ts'
import type { Mismatches } from './mismatches.ts'
import { type ClusterState, nodeDemand } from './node-demand.ts'
import type { NodeEvents } from './node-events.ts'
import { deviceKey } from './occupancy.ts'
import { countPass } from './pass-counts.ts'
import type { PciCard } from './pci-scan.ts'
import { isOffered, nextStep, type Step } from './plan.ts'
import { recover } from './recovery.ts'
import type { Registrations } from './registrations.ts'
import {
  type Findings,
  type Knowledge,
  linkQuestion,
  type Plan,
  type PlacedSituation,
  situationOf,
} from './situation.ts'
import type { StatusWriter } from './status-writer.ts'
import type { LoopWaker } from './loop-waker.ts'

/** inotify does not see sysfs, so a card that is expected is looked for; a scan costs well under a millisecond. */
const fastMs = 50
const slowMs = 1_000
/** A card that has not come for so long is looked for at the slow pace. */
const expectFastForMs = 5 * 60_000

export interface ReconcilerOptions extends Knowledge {
  /** undefined until the caches have synced. */
  readonly state: () => ClusterState | undefined
  readonly managed: ReadonlySet<string>
  readonly scan: () => readonly PciCard[]
  readonly host: () => HostNetwork
  /** By the instance metadata; undefined while those say nothing. */
  readonly primaryMac: () => string | undefined
  readonly steps: CardSteps
  /** A card will change its driver before long. */
  readonly expectDriverChange: () => void
  readonly visits: CardVisits
  readonly files: DeviceFiles
  readonly links: NodeLinks
  readonly linkSteps: LinkSteps
  readonly kubelet: KubeletWatch
  readonly isAllocating: () => boolean
  readonly registrations: Registrations
  readonly statuses: StatusWriter
  readonly waker: LoopWaker
  readonly clock: MonotonicClock
  readonly metrics: DevicePluginMetrics
  readonly events: NodeEvents
  readonly mismatches: Mismatches
  readonly log: Log
}

/** A driver is being changed, or will be as soon as the kubelet has let go. */
const changingSteps: ReadonlySet<Step['kind']> = new Set(['bind', 'withdraw', 'leave-list', 'restore'])

/** After a start, the word of the earlier process stands until the kubelet's first; but not for longer than this. */
const firstWordMs = 5_000

/** Monotonic milliseconds at which this process first saw something of an attachment. */
interface Sightings {
  readonly attachmentAt: number
  readonly card?: { readonly inode: string; readonly at: number }
  readonly claim?: { readonly uid: string; readonly at: number }
  /** Since when its device was in our list, as it was last seen in the kubelet's. */
  readonly advertisedSince?: number
}

export class Reconciler {
  readonly #options: ReconcilerOptions
  readonly #sightings = new Map<string, Sightings>()
  /** Attachments whose finalizer we have ended; the cache may show it a little longer. */
  readonly #finished = new Set<string>()
  readonly #warned = new Set<string>()
  readonly #damping = new HealthDamping()
  /** Of the work, not of the process, which may have stood by for days before. */
  #startedAt = Number.NEGATIVE_INFINITY
  readonly #health = new LoopHealth()
  #hasPassed = false

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /** Whether a whole pass has been made. */
  get hasPassed(): boolean {
    return this.#hasPassed
  }

  /** Why the loop is not well, in one line. */
  get stalled(): string | undefined {
    return this.#health.problem(this.#options.clock.monotonic())
  }

  async run(signal: AbortSignal): Promise<void> {
    const { waker, work, visits, clock, log } = this.#options
    this.#startedAt = clock.monotonic()
    this.#health.well(this.#startedAt)
    while (!signal.aborted) {
      let waitMs = slowMs
      try {
        waitMs = this.#pass(signal)
        if (this.#health.well(clock.monotonic()) === 'again') log.info('passes end well again')
      } catch (error) {
        if (this.#health.failed(error) === 'new')
          log.error({ err: error, retryMs: slowMs }, 'pass failed, trying again')
      }
      await waker.wait(waitMs, signal)
    }
    await Promise.all([work.settled(), visits.settled()])
  }

  /** Returns milliseconds after which it wants to run again. */
  #pass(signal: AbortSignal): number {
    const {
      state: stateOf,
      managed,
      registrations,
      kubelet,
      lists,
      files,
      occupancy,
      journal,
      links,
      clock,
    } = this.#options
    const state = stateOf()
    if (state === undefined) return slowMs
    const demand = nodeDemand(state, managed)
    for (const resource of demand.resources) registrations.ensure(resource)
    const cards = this.#options.scan().map((card) => ({ ...card, entry: journal.of(card) }))
    const findings = {
      demand,
      host: this.#options.host(),
      primary: { mac: this.#options.primaryMac(), addresses: state.node?.addresses ?? [] },
      matches: this.#matches(cards, demand.attachments),
      altNames: altNames(demand.attachments, demand.nodeENIs, (uid) => journal.ofAttachment(uid)?.link?.altName),
    }
    const now = clock.monotonic()
    const plans = demand.attachments
      .filter(({ metadata }) => !this.#finished.has(metadata.uid))
      .map((attachment) => this.#plan(attachment, findings, now))
    // While an Allocate is open no device leaves its list, whatever the look before it has shown.
    const view = this.#options.isAllocating() ? undefined : kubelet.view
    lists.retain(keysOf(plans, isOffer), keysOf(plans, isWithdrawal), occupancy, view, now)
    for (const { situation, step } of plans) this.#take(situation, step, now)
    files.tidy(
      cards,
      keysOf(plans, ({ step }) => expectingSteps.has(step.kind)),
    )
    const awaited = plans.map(({ situation, step }) => this.#report(situation, step))
    if (occupancy.isUnsettled) awaited.push('settle')
    links.keepLooking(
      new Set(plans.map(({ situation }) => linkQuestion(situation)).filter((text) => text !== undefined)),
    )
    this.#forget(demand.attachments, state.node?.instanceID !== undefined)
    countPass(this.#options.metrics, plans, this.#options)
    this.#options.events.look(plans)
    this.#options.mismatches.look(plans, demand.resources, now)
    this.#hasPassed = true
    const lookMs = kubelet.keepLooking(this.#awaitedText(awaited), signal)
    const expectsCard = plans.some((plan) => this.#expectsCard(plan, now))
    if (expectsCard || plans.some(({ step }) => changingSteps.has(step.kind))) this.#options.expectDriverChange()
    return Math.min(lookMs, expectsCard ? fastMs : slowMs)
  }

  /** By MAC and journal; what neither tells is recovered, or looked at closely. */
  #matches(cards: readonly KnownCard[], attachments: readonly ENIAttachment[]): Findings['matches'] {
    const { journal, allowedDevices, occupancy, visits } = this.#options
    const facts = {
      cards,
      attachments,
      matches: match(cards, attachments),
      journaled: new Set(journal.entries().map(({ attachmentUID }) => attachmentUID)),
      allowedDevices,
      isStranger: visits.isStranger,
      heldAs: (pciAddress: string) => occupancy.resourcesHolding(pciAddress),
    }
    const matches = new Map([...facts.matches, ...recover(facts)])
    const isFree = (pciAddress: string) => occupancy.isKnown && occupancy.resourcesHolding(pciAddress).length === 0
    visits.consider({ ...facts, matches, unreadable: journal.unreadable, isFree })
    return matches
  }

  #plan(attachment: ENIAttachment, findings: Findings, now: number): Plan {
    if (!this.#sightings.has(attachment.metadata.uid)) this.#recallHolder(attachment, now)
    const situation = situationOf(attachment, findings, this.#options)
    // What a pod has done to the interface meanwhile is nobody's fight for it.
    if (situation.linkFacts.kind === 'out-of-sight') this.#options.corrections.forget(attachment.metadata.uid)
    this.#see(situation, now)
    const step = this.#damping.damped(attachment.metadata.uid, nextStep(situation), now)
    return { situation, step }
  }

  #see({ attachment, match: found }: PlacedSituation, now: number): void {
    const { uid } = attachment.metadata
    // A claim that was freed counts as new when it comes again.
    const { claim: known, ...before } = this.#sightings.get(uid) ?? { attachmentAt: now }
    const { claim } = attachment.spec
    const after: Sightings = {
      ...before,
      ...(found.kind === 'found' &&
        found.card.inode !== before.card?.inode &&
        this.#newCard(attachment, found.card, now)),
      ...(claim !== undefined && { claim: claim.uid === known?.uid ? known : { uid: claim.uid, at: now } }),
    }
    this.#sightings.set(uid, after)
  }

  /** An earlier process of ours has written who has the device; a kubelet that has just started, too, may not show it yet. */
  #recallHolder({ spec, status }: ENIAttachment, now: number): void {
    const { pciAddress, inUseBy } = status?.device ?? {}
    if (spec.resourceName === undefined || pciAddress === undefined || inUseBy === undefined) return
    this.#options.occupancy.recall(deviceKey(spec.resourceName, pciAddress), inUseBy, now)
  }

  #newCard(attachment: ENIAttachment, card: KnownCard, now: number): Pick<Sightings, 'card'> {
    const { driver, numaNode, interfaces } = card
    const names = interfaces.map(({ name }) => name)
    this.#options.log.info({ ...logFields(attachment, card), driver, numaNode, interfaces: names }, 'card seen')
    return { card: { inode: card.inode, at: now } }
  }

  #take(situation: PlacedSituation, step: Step, now: number): void {
    const { steps, linkSteps, work, lists } = this.#options
    const { attachment, address } = situation
    const { uid } = attachment.metadata
    const { resourceName } = attachment.spec
    const fields = logFields(attachment, address === undefined ? undefined : { pciAddress: address })
    switch (step.kind) {
      case 'offer': {
        if (resourceName !== undefined) lists.offer(resourceName, this.#offered(situation, step.card), now)
        return
      }
      case 'set-link':
        if (step.isCorrection) this.#noteCorrection(uid, fields, step)
        return work.start(uid, fields, () => linkSteps.set(attachment, step))
      case 'adopt':
        return work.start(uid, fields, () => steps.adopt(attachment, step.card, step.kernelDriver))
      case 'describe':
        if (resourceName === undefined) return
        return work.start(uid, fields, () => steps.describe(resourceName, step.card))
      case 'bind':
        return work.start(uid, fields, () => steps.bind(attachment, step.card, step.driver))
      case 'restore':
        return work.start(uid, fields, () => steps.restore(attachment, step.card))
      case 'restore-link':
        return work.start(uid, fields, () => linkSteps.restore(attachment, step.card))
      case 'finish':
        return work.start(uid, fields, async () => {
          const outcome = await steps.finish(attachment, address, step.card)
          if (outcome.kind === 'done') this.#finished.add(uid)
          return outcome
        })
      case 'await-card':
      case 'wait':
      case 'refuse':
      case 'withdraw':
      case 'leave-list':
      case 'finished':
    }
  }

  #offered({ attachment, mtu }: PlacedSituation, card: KnownCard): OfferedDevice {
    const acknowledged = this.#options.statuses.lastOf(attachment)?.acknowledged
    return {
      attachmentUID: attachment.metadata.uid,
      card,
      eni: attachment.status?.eni ?? {},
      mtu,
      isClaimed: acknowledged !== undefined && acknowledged === attachment.spec.claim?.uid,
    }
  }

  #noteCorrection(uid: string, fields: object, { link, changes }: Step & { kind: 'set-link' }): void {
    const { corrections, log } = this.#options
    const isFirst = corrections.made(uid)
    if (!isFirst) return
    const kinds = changes.map(({ kind }) => kind)
    log.info({ ...fields, interface: link.name, changes: kinds }, 'interface was changed by others, set again')
  }

  /** Returns what it waits for from the kubelet. */
  #report(situation: PlacedSituation, step: Step): string | undefined {
    const { statuses, lists, kubelet, occupancy, clock, metrics, log } = this.#options
    const { attachment, address } = situation
    const { resourceName } = attachment.spec
    const now = clock.monotonic()
    const seen = this.#sightings.get(attachment.metadata.uid)
    const before = statuses.lastOf(attachment)
    const isOurs =
      address !== undefined && lists.get(resourceName ?? '', address)?.attachmentUID === attachment.metadata.uid
    const listed = isOurs ? lists.get(resourceName ?? '', address) : undefined
    const { status, isSeen, passing, awaited } = reportOn({
      situation,
      step,
      before,
      listed,
      view: kubelet.view,
      occupancy,
      now,
      claimSeenAt: seen?.claim?.at ?? Number.POSITIVE_INFINITY,
      time: clock.timestamp(),
    })
    const isUnknown = situation.occupancy === 'unknown' && now - this.#startedAt < firstWordMs
    if (status === undefined || isUnknown) return awaited
    const ackMs = Math.round(now - Math.max(seen?.card?.at ?? 0, seen?.claim?.at ?? 0))
    if (status.acknowledged !== undefined && status.acknowledged !== before?.acknowledged) {
      metrics.acknowledgeSeconds.observe(ackMs / 1000)
    }
    if (isSeen && listed !== undefined) this.#timeAdvertised(attachment, listed.since, before?.advertisedTime, now)
    logChanges(log, attachment, before, status, ackMs)
    statuses.want(attachment, status, { passing })
    return awaited
  }

  /** Each time that a device has come into our list, how long until the kubelet has it; of a card only the first. */
  #timeAdvertised({ metadata }: ENIAttachment, listedSince: number, before: string | undefined, now: number): void {
    const { metrics } = this.#options
    const seen = this.#sightings.get(metadata.uid)
    if (seen === undefined || seen.advertisedSince === listedSince) return
    this.#sightings.set(metadata.uid, { ...seen, advertisedSince: listedSince })
    metrics.advertiseSeconds.observe((now - listedSince) / 1000)
    if (before === undefined && seen.card !== undefined) {
      metrics.cardToAdvertisedSeconds.observe((now - seen.card.at) / 1000)
    }
  }

  /** A new text makes the kubelet be asked at once, so it also tells which resources the kubelet knows. */
  #awaitedText(awaited: readonly (string | undefined)[]): string {
    const texts = awaited.filter((text) => text !== undefined)
    if (texts.length === 0) return ''
    return [...texts, `unregistered ${this.#options.registrations.unregistered.join()}`].join('; ')
  }

  #expectsCard({ situation, step }: Plan, now: number): boolean {
    const { attachment } = situation
    const since = this.#sightings.get(attachment.metadata.uid)?.attachmentAt ?? now
    return step.kind === 'await-card' && macOf(attachment) !== undefined && now - since < expectFastForMs
  }

  #forget(attachments: readonly ENIAttachment[], isInstanceKnown: boolean): void {
    const { statuses, work, corrections, journal, events, log } = this.#options
    const present = new Set(attachments.map(({ metadata }) => metadata.uid))
    statuses.retain(present)
    work.retain(present)
    corrections.retain(present)
    this.#damping.retain(present)
    for (const map of [this.#sightings, this.#finished]) {
      for (const uid of map.keys()) if (!present.has(uid)) map.delete(uid)
    }
    if (!isInstanceKnown) return
    for (const { attachmentUID, attachment, pciAddress, wantedDriver } of journal.entries()) {
      if (present.has(attachmentUID) || this.#warned.has(attachmentUID)) continue
      this.#warned.add(attachmentUID)
      events.cardLeftAlone(pciAddress, attachment)
      log.warn(
        { attachment, pciAddress, driver: wantedDriver },
        'card is ours and no ENIAttachment names it; left alone',
      )
    }
  }
}

/** Steps of a device that is offered, or may soon be. */
const expectingSteps: ReadonlySet<Step['kind']> = new Set(['offer', 'describe', 'set-link', 'wait'])

function keysOf(plans: readonly Plan[], isChosen: (plan: Plan) => boolean): ReadonlySet<string> {
  const keys = plans.filter(isChosen).map(({ situation }) => situation.key)
  return new Set(keys.filter((key) => key !== undefined))
}

function isOffer({ situation, step }: Plan): boolean {
  return isOffered(step, situation.listed)
}

function isWithdrawal({ step }: Plan): boolean {
  return step.kind === 'withdraw'
}
