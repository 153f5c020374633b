// How long EC2 takes for what it does after it has answered. All may be changed while it runs.

export interface Delays {
  /** From the call until its answer, for every action; what the action does is done first. */
  answerMs: number
  /** An interface stays `pending` this long after its creation. */
  createMs: number
  /** An attachment stays `attaching` this long. */
  attachMs: number
  /** An attachment stays `detaching` at least this long; longer when the guest does not let go of the device. */
  detachMs: number
  /** The device appears in the guest this long after the attach call, whatever the attachment's status says. */
  deviceMs: number
  /** An instance stays `stopping` or `shutting-down` this long. */
  stopMs: number
}

export const noDelays: Delays = { answerMs: 0, createMs: 0, attachMs: 0, detachMs: 0, deviceMs: 0, stopMs: 0 }
