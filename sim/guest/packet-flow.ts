// Packets that go into one card all the time, and those that come back out of another: testpmd forwards them in their order, so that a
// later one that is back tells that an earlier one is lost.
import { setTimeout as delay } from 'node:timers/promises'
import { sequenceOf, testFrame } from './test-frame.ts'
import type { Wire } from './wire.ts'

/** So many leave the emulated processors time for kubelet and container runtime. */
const intervalMs = 2
const deadlineMs = 240_000
const sender = '02:00:00:00:09:09'

export interface FlowEnds {
  /** MAC of the card that the packets go into. */
  readonly to: string
  readonly into: Wire
  readonly outOf: Wire
}

export interface Passed {
  readonly sent: number
  /** Numbers of those that did not come back. */
  readonly lost: readonly number[]
}

export class PacketFlow implements AsyncDisposable {
  readonly #ends: FlowEnds
  readonly #stop = new AbortController()
  readonly #back = new Set<number>()
  readonly #stopListening: () => void
  readonly #looks = new Set<() => void>()
  readonly #sending: Promise<void>
  #sent = 0
  #last = -1

  private constructor(ends: FlowEnds) {
    this.#ends = ends
    this.#stopListening = ends.outOf.onFrame((frame) => this.#note(sequenceOf(frame)))
    this.#sending = this.#send(this.#stop.signal)
  }

  /** Resolves when the first packet is back: before that, those sent may have come too early. */
  static async start(ends: FlowEnds): Promise<PacketFlow> {
    const flow = new PacketFlow(ends)
    try {
      await flow.back(0)
    } catch (error) {
      await flow[Symbol.asyncDispose]()
      throw error
    }
    return flow
  }

  get sent(): number {
    return this.#sent
  }

  /** All packets that were sent from the beginning of `work` to its end. */
  async during(work: () => Promise<unknown>): Promise<Passed> {
    const first = this.#sent
    await work()
    const end = this.#sent
    await this.back(end)
    const sent = Array.from({ length: end - first }, (_, index) => first + index)
    return { sent: sent.length, lost: sent.filter((sequence) => !this.#back.has(sequence)) }
  }

  /** Resolves when so many more have been sent and what was sent last is back. */
  async more(packets: number): Promise<void> {
    await this.back(this.#sent + packets)
  }

  /** Resolves when the packet with this number, or a later one, is back. */
  async back(sequence: number): Promise<void> {
    const signal = AbortSignal.timeout(deadlineMs)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = () => {
      if (this.#last >= sequence) resolve()
    }
    const giveUp = () => {
      const numbers = `${this.#sent} have been sent, ${this.#back.size} came back, the last of them is number ${this.#last}`
      reject(new Error(`packet ${sequence} does not come back: ${numbers}`))
    }
    this.#looks.add(look)
    signal.addEventListener('abort', giveUp, { once: true })
    look()
    try {
      await promise
    } finally {
      this.#looks.delete(look)
      signal.removeEventListener('abort', giveUp)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#stopListening()
    await this.#sending
  }

  async #send(signal: AbortSignal): Promise<void> {
    const { to, into } = this.#ends
    while (!signal.aborted) {
      // A card that is gone takes none; those who wait for packets then say what is missing.
      await into.send(testFrame({ to, from: sender, sequence: this.#sent }), signal).catch(() => undefined)
      this.#sent += 1
      await delay(intervalMs, undefined, { signal }).catch(() => undefined)
    }
  }

  #note(sequence: number | undefined): void {
    if (sequence === undefined) return
    this.#back.add(sequence)
    this.#last = Math.max(this.#last, sequence)
    for (const look of this.#looks) look()
  }
}
