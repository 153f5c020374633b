// Frames through a pod that forwards: sent into the cable of one of its cards, counted at the far end of the other's.
import { setTimeout as delay } from 'node:timers/promises'
import { sequenceOf, testFrame } from '../../sim/guest/test-frame.ts'
import type { Wire } from '../../sim/guest/wire.ts'

/** A sender that is no card of anybody. */
const from = '02:00:00:00:09:09'
const knockMs = 100
const deadlineMs = 120_000
/** Frames that are sent to see whether anyone forwards have numbers from here on. */
const firstKnock = 1_000_000_000

export interface FramesPath {
  readonly into: Wire
  /** MAC address of the card at `into`. */
  readonly to: string
  readonly outOf: Wire
}

/** Resolves when a frame has come through; others that were sent until then may still come. */
export async function firstForwarded(path: FramesPath): Promise<void> {
  const { into, to, outOf } = path
  const signal = AbortSignal.timeout(deadlineMs)
  const through = outOf.frames({ count: 1, matches: (frame) => sequenceOf(frame) !== undefined, signal })
  const knocking = new AbortController()
  const knock = async () => {
    for (let sequence = firstKnock; !knocking.signal.aborted; sequence++) {
      await into.send(testFrame({ to, from, sequence }), signal)
      await delay(knockMs, undefined, { signal: knocking.signal }).catch(() => undefined)
    }
  }
  const knocks = knock()
  await Promise.race([through, knocks])
  knocking.abort()
  await knocks
}

export class FrameCount implements Disposable {
  /** Test frames of `send` that came, each number as often as it came. */
  readonly came = new Map<number, number>()
  /** All test frames that came. */
  total = 0
  readonly #stop: () => void
  readonly #path: FramesPath

  constructor(path: FramesPath) {
    this.#path = path
    this.#stop = path.outOf.onFrame((frame) => {
      const sequence = sequenceOf(frame)
      if (sequence === undefined) return
      this.total += 1
      if (sequence < firstKnock) this.came.set(sequence, (this.came.get(sequence) ?? 0) + 1)
    })
  }

  /** Sends frames 0 to count - 1, and resolves when as many have come. */
  async send(count: number): Promise<void> {
    const signal = AbortSignal.timeout(deadlineMs)
    const { into, to, outOf } = this.#path
    const isOurs = (frame: Buffer) => (sequenceOf(frame) ?? firstKnock) < firstKnock
    const all = outOf.frames({ count, matches: isOurs, signal })
    function* frames() {
      for (let sequence = 0; sequence < count; sequence++) yield testFrame({ to, from, sequence })
    }
    await Promise.all([all, into.sendAll(frames(), signal)])
  }

  [Symbol.dispose](): void {
    this.#stop()
  }
}
