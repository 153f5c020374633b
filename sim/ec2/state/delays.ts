// How long EC2 takes for what it does after it has answered. All may be changed while it runs.

import type { Duration } from './duration.ts'

export interface Delays {
  /** From the call until its answer, for every action or for each its own; what the action does is done first. */
  answerMs: Duration | ((action: string) => Duration)
  /** An interface stays `pending` this long after its creation. */
  createMs: Duration
  /** An attachment stays `attaching` this long. */
  attachMs: Duration
  /** The interface itself is `attaching`, too, this long, before it is `in-use`. */
  inUseMs: Duration
  /** An attachment stays `detaching` at least this long; longer when the guest does not let go of the device. */
  detachMs: Duration
  /** The device appears in the guest this long after the attach call, whatever the attachment's status says. */
  deviceMs: Duration
  /** An instance that starts, or is launched `pending`, stays so this long. */
  startMs: Duration
  /** An instance stays `stopping` or `shutting-down` this long. */
  stopMs: Duration
  /** A terminated instance can be described this long; afterwards its id is unknown. */
  terminatedMs: Duration
  /** A client token that is used now is remembered this long. */
  tokenMs: number
}

export const defaultDelays: Delays = {
  answerMs: 0,
  createMs: 0,
  attachMs: 0,
  inUseMs: 0,
  detachMs: 0,
  deviceMs: 0,
  startMs: 0,
  stopMs: 0,
  // "A terminated instance remains visible in the console for about one hour" (EC2 user guide, "Terminate instances").
  terminatedMs: 3_600_000,
  // About 12 hours, as the EBS CSI driver has measured (cloud.go, "client token").
  tokenMs: 12 * 3_600_000,
}

export function answerMs({ answerMs: ms }: Delays, action: string): Duration {
  return typeof ms === 'function' ? ms(action) : ms
}
