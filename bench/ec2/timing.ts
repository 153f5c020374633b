// How long the simulated EC2 takes in all of these measurements. Attaches of 1 to 4 s are what EBS CSI counts with (sim/ec2/README.md).
import type { Delays } from '../../sim/ec2/state/delays.ts'

export const changeMs = 300
const describeMs = 100
/** From the attach call until the card is in the guest and EC2 says `attached`. */
export const attachMs = 2000

export function delaysWithAttach(ms: number): Partial<Delays> {
  return {
    answerMs: (action) => (action.startsWith('Describe') ? describeMs : changeMs),
    attachMs: ms,
    deviceMs: ms,
    detachMs: ms,
  }
}
