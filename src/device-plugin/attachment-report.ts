// What one pass has to tell of one ENIAttachment: its device status, whether it waits for the kubelet, and the log lines of
// what has changed.
import { type DeviceStatus, type ENIAttachment, isDeleting } from '../api/eni-attachment.ts'
import type { Log } from '../process/log.ts'
import { logFields } from './card-steps.ts'
import type { ListedDevice } from './device-lists.ts'
import { acknowledgement, deviceStatus } from './device-status.ts'
import type { KubeletView } from './kubelet-view.ts'
import { macOf } from './match.ts'
import type { Occupancy } from './occupancy.ts'
import type { Step, StepFailure } from './step.ts'
import { interfaceNameOf, type PlacedSituation } from './situation.ts'

const freshMs = 1_000

export interface ReportInput {
  readonly situation: PlacedSituation
  readonly step: Step
  readonly before: DeviceStatus | undefined
  /** Our entry in the kubelet's list. */
  readonly listed: ListedDevice | undefined
  readonly view: KubeletView | undefined
  readonly occupancy: Occupancy
  /** Monotonic milliseconds at which this process first saw the claim. */
  readonly claimSeenAt: number
  readonly now: number
  readonly time: string
}

export interface Report {
  readonly status: DeviceStatus | undefined
  /** The kubelet has it in its healthy set, as it is in our list now. */
  readonly isSeen: boolean
  /** Another change is to be expected within milliseconds. */
  readonly passing: boolean
  /** What the kubelet must say before this can go on; another text when something new is waited for. */
  readonly awaited: string | undefined
}

export function reportOn(input: ReportInput): Report {
  const { situation, step, before, listed, occupancy } = input
  const { attachment, match, key, work } = situation
  const { uid } = attachment.metadata
  const isSeen = isAdvertised(input)
  const advertised = isSeen || (before?.advertised === true && isFresh(input))
  const holder = key === undefined || situation.listed === 'another' ? undefined : occupancy.holderOf(key)
  const claimUID = attachment.spec.claim?.uid
  const acknowledged = acknowledgement({
    claimUID,
    before: before?.acknowledged,
    isSeen,
    advertised,
    isFree: key !== undefined && occupancy.isFree(key),
    holder,
    claimSeenAt: input.claimSeenAt,
    listedAt: occupancy.listedAt,
  })
  const status = deviceStatus(
    before,
    {
      card: match.kind === 'found' || match.kind === 'recovered' ? match.card : undefined,
      interfaceName: shownInterface(step, situation, before),
      isBound: step.kind === 'offer' && situation.wanted !== 'kernel',
      health: healthOf(step),
      advertised,
      acknowledged,
      holder,
      failure: failureOf(step, before, attachment),
    },
    input.time,
  )
  const waitsFor = [
    listed?.health === 'Healthy' && !isSeen ? `advertise ${key} ${listed.since}` : undefined,
    listed?.health === 'Unhealthy' ? `leave ${key} ${listed.since}` : undefined,
    advertised && claimUID !== undefined && acknowledged === undefined ? `acknowledge ${key} ${claimUID}` : undefined,
    situation.occupancy === 'unknown' ? `holders ${uid}` : undefined,
  ].find((text) => text !== undefined)
  const expectsKubelet = waitsFor !== undefined && holder === undefined && !isDeleting(attachment)
  return {
    status,
    isSeen,
    passing: work.kind === 'running' || step.kind === 'bind' || step.kind === 'set-link' || expectsKubelet,
    awaited: waitsFor,
  }
}

/** In the list as healthy, and seen so by a look at the kubelet that began after it was. */
function isAdvertised({ listed, view, situation: { key } }: ReportInput): boolean {
  if (listed?.health !== 'Healthy' || view === undefined || key === undefined) return false
  return view.startedAt >= listed.since && view.allocatable.has(key)
}

/** In the list for so short a time that the kubelet need not have shown it yet: what an earlier process has seen still holds. */
function isFresh({ listed, now }: ReportInput): boolean {
  return listed?.health === 'Healthy' && now - listed.since < freshMs
}

function healthOf(step: Step): DeviceStatus['health'] {
  switch (step.kind) {
    case 'offer':
      return 'Healthy'
    case 'wait':
    case 'adopt':
    case 'set-link':
    case 'bind':
    case 'describe':
      return undefined
    case 'await-card':
    case 'refuse':
    case 'withdraw':
    case 'leave-list':
    case 'restore':
    case 'restore-link':
    case 'finish':
    case 'finished':
      return 'Unhealthy'
  }
}

/** Of a card that stays with the kernel's driver, once it has been set up; none while it is in a pod. */
function shownInterface(step: Step, situation: PlacedSituation, before: DeviceStatus | undefined): string | undefined {
  const name = situation.wanted === 'kernel' ? interfaceNameOf(situation.attachment, situation.match) : undefined
  if (name === undefined) return undefined
  return step.kind === 'offer' || before?.interface !== undefined ? name : undefined
}

function failureOf(step: Step, before: DeviceStatus | undefined, attachment: ENIAttachment): StepFailure | undefined {
  if (step.kind === 'refuse' || step.kind === 'leave-list') return step.failure
  const isUnderWay = ['wait', 'bind', 'describe', 'set-link', 'restore', 'restore-link'].includes(step.kind)
  // A failure is shown until the next try has ended well, not until it begins.
  if (isUnderWay) return before?.failure as StepFailure | undefined
  if (step.kind !== 'await-card' || before?.seenTime === undefined) return undefined
  const message = `the card with MAC ${macOf(attachment)} is not on the PCI bus any more`
  return { reason: 'CardMissing', message, terminal: false }
}

/** One line for each step that was made since the status before. `ackMs` is the time that the acknowledgement took. */
export function logChanges(
  log: Log,
  attachment: ENIAttachment,
  before: DeviceStatus | undefined,
  after: DeviceStatus,
  ackMs: number,
): void {
  const fields = { ...logFields(attachment), pciAddress: after.pciAddress }
  if (after.advertised === true && before?.advertised !== true) log.info(fields, 'device advertised')
  if (after.advertised !== true && before?.advertised === true) {
    log.info({ ...fields, health: after.health, reason: after.failure?.reason }, 'device no longer advertised')
  }
  if (after.acknowledged !== undefined && after.acknowledged !== before?.acknowledged) {
    const { namespace, name } = attachment.spec.claim ?? {}
    log.info({ ...fields, pod: `${namespace}/${name}`, podUID: after.acknowledged, ms: ackMs }, 'claim acknowledged')
  }
  if (podOf(after) !== podOf(before)) {
    if (after.inUseBy === undefined) log.info({ ...fields, pod: podOf(before) }, 'device no longer in use')
    else log.info({ ...fields, pod: podOf(after) }, 'device in use')
  }
  if (after.failure !== undefined && after.failure.message !== before?.failure?.message) {
    const { reason, message, terminal } = after.failure
    log.warn({ ...fields, reason, message, terminal }, 'device not usable')
  }
  if (after.failure === undefined && before?.failure !== undefined) {
    log.info({ ...fields, reason: before.failure.reason }, 'failure is over')
  }
}

function podOf(status: DeviceStatus | undefined): string | undefined {
  return status?.inUseBy && `${status.inUseBy.namespace}/${status.inUseBy.name}`
}
