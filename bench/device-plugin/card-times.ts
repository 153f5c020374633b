// When each card was plugged in, seen and advertised. Plugged in: this process, when the simulated bus shows it. Seen and advertised: the
// lines of the device plugin's log, by its own clock; a device is advertised when the kubelet itself lists it as allocatable. All of
// them are processes of one machine, so there is one clock, with milliseconds. What the kernel itself takes to give up the card's
// interface is kept apart: the simulated bus removes a real link, and all of the device plugin waits for that.
import type { Installation } from '../../sim/installation/installation.ts'

export interface CardTimes {
  readonly pluggedAt: number
  readonly seenAt: number
  readonly advertisedAt: number
  /** Milliseconds in which its kernel driver gave it up. */
  readonly kernelMs: number
}

export class CardClock {
  readonly #plugged = new Map<string, number>()
  readonly #seen = new Map<string, number>()
  readonly #unbinding = new Map<string, number>()
  readonly #kernelMs = new Map<string, number>()
  readonly #cards: CardTimes[] = []

  constructor(installation: Installation, nodeNames: readonly string[]) {
    for (const name of nodeNames) {
      const { effects } = installation.bus(name)
      effects.on('plugged', ({ mac }) => this.#plugged.set(mac, Date.now()))
      effects.on('unbinding', ({ mac }) => this.#unbinding.set(mac, Date.now()))
      effects.on('unbound', ({ mac }, from) => {
        if (from === 'ena') this.#kernelMs.set(mac, Date.now() - (this.#unbinding.get(mac) ?? Number.NaN))
      })
      installation.devicePlugin(name).onLine(({ msg, mac, time }) => {
        if (typeof mac !== 'string') return
        if (msg === 'card seen') this.#seen.set(mac, Date.parse(time))
        if (msg === 'device advertised') this.#advertised(mac, Date.parse(time))
      })
    }
  }

  /** Of all cards that have been advertised. */
  get cards(): readonly CardTimes[] {
    return this.#cards
  }

  #advertised(mac: string, advertisedAt: number): void {
    const [pluggedAt, seenAt] = [this.#plugged.get(mac), this.#seen.get(mac)]
    const kernelMs = this.#kernelMs.get(mac)
    if (pluggedAt === undefined || seenAt === undefined || kernelMs === undefined) {
      throw new Error(`card ${mac} was advertised, but never seen or never taken from its driver`)
    }
    this.#cards.push({ pluggedAt, seenAt, advertisedAt, kernelMs })
    this.#plugged.delete(mac)
    this.#seen.delete(mac)
  }
}
