// How far a guest's clock is ahead of this machine's, so that times of both can be put in one row.
import type { Guest } from '../../sim/guest/guest.ts'

const asks = 5
/** /proc/uptime has two decimals: what has happened between two of them, it shows late. */
const uptimeStepMs = 10

export interface ClockOffset {
  /** What the guest's clock shows more than this machine's. */
  readonly ms: number
  /** A time of the guest, or one since its boot, may be so far off on this machine's clock. */
  readonly errorMs: number
  /** The guest's clock when it was booted; milliseconds since the epoch. */
  readonly bootedAt: number
}

/** bash, because it needs no other process between the two. */
const look = 'read -r uptime _ </proc/uptime; echo "$EPOCHREALTIME $uptime"'

/** The guest looks at its clock between question and answer: each ask narrows down what the offset can be. */
export async function clockOffset(guest: Guest): Promise<ClockOffset> {
  let [least, most, bootedAt] = [-Infinity, Infinity, Infinity]
  for (let ask = 0; ask < asks; ask++) {
    const askedAt = Date.now()
    const [clock = Number.NaN, uptime = Number.NaN] = (await guest.run('bash', ['-c', look])).split(' ').map(Number)
    least = Math.max(least, clock * 1000 - Date.now())
    most = Math.min(most, clock * 1000 - askedAt)
    bootedAt = Math.min(bootedAt, (clock - uptime) * 1000)
  }
  return { ms: (least + most) / 2, errorMs: (most - least) / 2 + uptimeStepMs, bootedAt }
}
