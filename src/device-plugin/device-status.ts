// status.device of an ENIAttachment from what is true now. Times are set once per step, so that they explain the latency.
import type { DeviceStatus } from '../api/eni-attachment.ts'
import type { Holder } from './occupancy.ts'
import type { PciCard } from './pci-scan.ts'
import type { StepFailure } from './step.ts'

export interface DeviceFacts {
  readonly card: PciCard | undefined
  /** Of a card that stays with the kernel's driver, set up and in sight. */
  readonly interfaceName: string | undefined
  /** The userspace driver that was asked for has the card. */
  readonly isBound: boolean
  /** undefined while that is not decided yet. */
  readonly health: 'Healthy' | 'Unhealthy' | undefined
  /** The kubelet has it in its healthy set. */
  readonly advertised: boolean
  /** UID of the claim. */
  readonly acknowledged: string | undefined
  readonly holder: Holder | undefined
  readonly failure: StepFailure | undefined
}

/** undefined: there is nothing to say yet. `time` is now, RFC 3339. */
export function deviceStatus(
  before: DeviceStatus | undefined,
  facts: DeviceFacts,
  time: string,
): DeviceStatus | undefined {
  const { card, acknowledged, failure } = facts
  if (before === undefined && card === undefined && failure === undefined) return undefined
  const acknowledgedTime = acknowledged === before?.acknowledged ? before?.acknowledgedTime : time
  return withoutUndefined({
    pciAddress: card?.pciAddress ?? before?.pciAddress,
    driver: card?.driver,
    interface: facts.interfaceName,
    health: facts.health,
    advertised: facts.advertised,
    acknowledged,
    inUseBy: facts.holder,
    seenTime: before?.seenTime ?? (card && time),
    boundTime: before?.boundTime ?? (facts.isBound ? time : undefined),
    advertisedTime: before?.advertisedTime ?? (facts.advertised ? time : undefined),
    acknowledgedTime: acknowledged === undefined ? before?.acknowledgedTime : acknowledgedTime,
    failure: failure && { ...failure, time: sameFailure(before, failure) ? before.failure.time : time },
  })
}

export interface AckQuestion {
  readonly claimUID: string | undefined
  readonly before: string | undefined
  /** A look at the kubelet has shown the device, since this process offers it. */
  readonly isSeen: boolean
  /** Seen, or so newly offered that what an earlier process saw still stands. */
  readonly advertised: boolean
  readonly isFree: boolean
  readonly holder: Holder | undefined
  /** Monotonic milliseconds. */
  readonly claimSeenAt: number
  readonly listedAt: number
}

/**
 * The UID for which the kubelet is known to have a free device. It says so once per claim, and only by what this process has
 * seen itself: a kubelet that knew us before our restart need not know us now. It takes it back only when the device leaves
 * the kubelet before anybody holds it.
 */
export function acknowledgement(question: AckQuestion): string | undefined {
  const { claimUID, before, isSeen, advertised, isFree, holder, claimSeenAt, listedAt } = question
  if (claimUID === undefined) return undefined
  if (before === claimUID && (advertised || holder !== undefined)) return claimUID
  return isSeen && isFree && listedAt >= claimSeenAt ? claimUID : undefined
}

function sameFailure(
  before: DeviceStatus | undefined,
  { reason, message }: StepFailure,
): before is DeviceStatus & { failure: NonNullable<DeviceStatus['failure']> } {
  return before?.failure?.reason === reason && before.failure.message === message
}

/** exactOptionalPropertyTypes: a key that is there must have a value. */
function withoutUndefined(status: { [Key in keyof DeviceStatus]: DeviceStatus[Key] | undefined }): DeviceStatus {
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined)) as DeviceStatus
}
