// The one loop of the device plugin: scan, match, take the next step of each attachment, tell the kubelet, tell the cluster.
// A pass only reads directories and decides; whatever takes time runs beside it and pokes the loop when it ends.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import { logChanges, reportOn } from './attachment-report.ts'
import type { CardVisits } from './card-visits.ts'
import type { DeviceFiles } from './device-files.ts'
import { altNames } from './alt-names.ts'
import type { MonotonicClock } from './monotonic-clock.ts'
import { HealthDamping } from './health-damping.ts'
import type { HostNetwork } from './host-network.ts'
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
import { isOfUserspace } from './journal.ts'
import { isOffered, nextStep } from './plan.ts'
import type { Step } from './step.ts'
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
import { Sightings } from './sightings.ts'
import { StepTaker, type StepTakerOptions } from './step-taker.ts'
import type { LoopWaker } from './loop-waker.ts'

/** inotify does not see sysfs, so a card that is expected is looked for; a scan costs well under a millisecond. */
const fastMs = 50
const slowMs = 1_000
/** A card that has not come for so long is looked for at the slow pace. */
const expectFastForMs = 5 * 60_000

export interface ReconcilerOptions extends Knowledge, StepTakerOptions {
  /** undefined until the caches have synced. */
  readonly state: () => ClusterState | undefined
  readonly managed: ReadonlySet<string>
  readonly scan: () => readonly PciCard[]
  readonly host: () => HostNetwork
  /** By the instance metadata; undefined while those say nothing. */
  readonly primaryMac: () => string | undefined
  /** A card will change its driver before long. */
  readonly expectDriverChange: () => void
  readonly visits: CardVisits
  readonly files: DeviceFiles
  readonly links: NodeLinks
  readonly kubelet: KubeletWatch
  readonly isAllocating: () => boolean
  readonly registrations: Registrations
  readonly waker: LoopWaker
  readonly clock: MonotonicClock
  readonly metrics: DevicePluginMetrics
  readonly events: NodeEvents
  readonly mismatches: Mismatches
}

/** A driver is being changed, or will be as soon as the kubelet has let go. */
const changingSteps: ReadonlySet<Step['kind']> = new Set(['bind', 'withdraw', 'leave-list', 'restore'])

/** After a start, the word of the earlier process stands until the kubelet's first; but not for longer than this. */
const firstWordMs = 5_000

export class Reconciler {
  readonly #options: ReconcilerOptions
  readonly #sightings: Sightings
  readonly #taker: StepTaker
  readonly #warned = new Set<string>()
  readonly #damping = new HealthDamping()
  /** Of the work, not of the process, which may have stood by for days before. */
  #startedAt = Number.NEGATIVE_INFINITY
  readonly #health = new LoopHealth()
  #hasPassed = false

  constructor(options: ReconcilerOptions) {
    this.#options = options
    this.#sightings = new Sightings(options.metrics, options.log)
    this.#taker = new StepTaker(options)
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
      altNames: altNames(
        // One that a userspace driver has keeps it when its NodeENI turns enableDPDK off, and has no interface to be named.
        demand.attachments.filter(({ metadata }) => !isOfUserspace(journal.ofAttachment(metadata.uid))),
        demand.nodeENIs,
        (uid) => journal.ofAttachment(uid)?.link?.altName,
      ),
    }
    const now = clock.monotonic()
    const plans = demand.attachments
      .filter(({ metadata }) => !this.#taker.hasFinished(metadata.uid))
      .map((attachment) => this.#plan(attachment, findings, now))
    // While an Allocate is open no device leaves its list, whatever the look before it has shown.
    const view = this.#options.isAllocating() ? undefined : kubelet.view
    lists.retain(keysOf(plans, isOffer), keysOf(plans, isWithdrawal), occupancy, view, now)
    for (const plan of plans) this.#taker.take(plan, now)
    files.tidy(cards, keysOf(plans, isExpected))
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
    const expected = plans.filter((plan) => this.#expectsCard(plan, now))
    if (expected.length > 0 || plans.some(({ step }) => changingSteps.has(step.kind)))
      this.#options.expectDriverChange()
    // A card cannot come before its ENI is made, which is when it has its MAC.
    const mayCome = expected.some(({ situation }) => macOf(situation.attachment) !== undefined)
    const isSoon = plans.some(({ step }) => step.kind === 'wait' && step.soon === true)
    return Math.min(lookMs, mayCome || isSoon ? fastMs : slowMs)
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
    if (this.#sightings.of(attachment) === undefined) this.#recallHolder(attachment, now)
    const cardAgeMs = this.#sightings.cardAgeMs(attachment, findings.matches.get(attachment.metadata.uid), now)
    const situation = situationOf(attachment, findings, this.#options, cardAgeMs)
    // What a pod has done to the interface meanwhile is nobody's fight for it.
    if (situation.linkFacts.kind === 'out-of-sight') this.#options.corrections.forget(attachment.metadata.uid)
    this.#sightings.see(situation, now)
    const step = this.#damping.damped(attachment.metadata.uid, nextStep(situation), now)
    return { situation, step }
  }

  /** An earlier process of ours has written who has the device; a kubelet that has just started, too, may not show it yet. */
  #recallHolder({ spec, status }: ENIAttachment, now: number): void {
    const { pciAddress, inUseBy } = status?.device ?? {}
    if (spec.resourceName === undefined || pciAddress === undefined || inUseBy === undefined) return
    this.#options.occupancy.recall(deviceKey(spec.resourceName, pciAddress), inUseBy, now)
  }

  /** Returns what it waits for from the kubelet. */
  #report(situation: PlacedSituation, step: Step): string | undefined {
    const { statuses, lists, kubelet, occupancy, clock, metrics, log } = this.#options
    const { attachment, address } = situation
    const { resourceName } = attachment.spec
    const now = clock.monotonic()
    const seen = this.#sightings.of(attachment)
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
    if (isSeen && listed !== undefined) this.#sightings.seeAdvertised(attachment, listed, before?.advertisedTime, now)
    logChanges(log, attachment, before, status, ackMs)
    statuses.want(attachment, status, { passing })
    return awaited
  }

  /** A new text makes the kubelet be asked at once, so it also tells which resources the kubelet knows. */
  #awaitedText(awaited: readonly (string | undefined)[]): string {
    const texts = awaited.filter((text) => text !== undefined)
    if (texts.length === 0) return ''
    return [...texts, `unregistered ${this.#options.registrations.unregistered.join()}`].join('; ')
  }

  #expectsCard({ situation, step }: Plan, now: number): boolean {
    const { attachment } = situation
    const since = this.#sightings.of(attachment)?.attachmentAt ?? now
    return step.kind === 'await-card' && now - since < expectFastForMs
  }

  #forget(attachments: readonly ENIAttachment[], isInstanceKnown: boolean): void {
    const { statuses, work, corrections, journal, events, log } = this.#options
    const present = new Set(attachments.map(({ metadata }) => metadata.uid))
    statuses.retain(present)
    work.retain(present)
    corrections.retain(present)
    this.#damping.retain(present)
    this.#sightings.retain(present)
    this.#taker.retain(present)
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

/** What is held back for its flapping will be offered, and without its description it would be described at every pass. */
function isExpected({ step }: Plan): boolean {
  return expectingSteps.has(step.kind) || (step.kind === 'refuse' && step.failure.reason === 'Flapping')
}

function isOffer({ situation, step }: Plan): boolean {
  return isOffered(step, situation.listed)
}

function isWithdrawal({ step }: Plan): boolean {
  return step.kind === 'withdraw'
}
