// Keeps a device whose facts flap from going in and out of the kubelet's healthy set at each of them. It turns Unhealthy at once:
// that is safe for pods to come, and those that run do not notice. It is Healthy again at once too, the first time; from the second
// time within a minute on only after all has been good for a while, each time for twice as long.
import type { Step } from './step.ts'

/** What goes bad again so soon after the last time flaps. */
const flapWithinMs = 60_000
const firstHoldMs = 1_000
const lastHoldMs = 60_000

interface History {
  /** Monotonic milliseconds since which all is good; undefined while it is not. */
  readonly goodSince: number | undefined
  /** Times that it went bad, each soon after the one before. */
  readonly flaps: number
  readonly lastFlapAt: number
}

export class HealthDamping {
  readonly #histories = new Map<string, History>()

  /** The step that is taken instead; to be asked at each pass. */
  damped(uid: string, step: Step, now: number): Step {
    const before = this.#histories.get(uid)
    if (step.kind === 'offer') {
      const history = before ?? { flaps: 0, lastFlapAt: Number.NEGATIVE_INFINITY }
      const goodSince = before?.goodSince ?? now
      this.#histories.set(uid, { ...history, goodSince })
      return now < goodSince + holdMs(history.flaps) ? hold(history.flaps) : step
    }
    if (before?.goodSince !== undefined && isBad(step)) {
      const flaps = now - before.lastFlapAt <= flapWithinMs ? before.flaps + 1 : 1
      this.#histories.set(uid, { goodSince: undefined, flaps, lastFlapAt: now })
    }
    return step
  }

  retain(uids: ReadonlySet<string>): void {
    for (const uid of this.#histories.keys()) if (!uids.has(uid)) this.#histories.delete(uid)
  }
}

/** A fact against the device. Being released is none, and neither is work that is under way. */
function isBad({ kind }: Step): boolean {
  return kind === 'refuse' || kind === 'await-card' || kind === 'leave-list'
}

function holdMs(flaps: number): number {
  return flaps < 2 ? 0 : Math.min(firstHoldMs * 2 ** (flaps - 2), lastHoldMs)
}

/** The same text for as long as it holds, so that it is written once. */
function hold(flaps: number): Step {
  const message = `the device turned Unhealthy ${flaps} times, each within a minute of the one before; it is offered again after ${holdMs(flaps) / 1_000} s without trouble`
  return { kind: 'refuse', failure: { reason: 'Flapping', message, terminal: false } }
}
