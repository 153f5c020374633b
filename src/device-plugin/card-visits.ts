// A card that nothing identifies is given to the kernel's driver for a moment, which shows its MAC: only where there is reason to
// take it for ours, and nobody can have it. One that turns out to be a stranger's goes back to the driver that it had.
import { setTimeout as delay } from 'node:timers/promises'

import type { Log } from '../process/log.ts'
import type { CardWork, WorkOutcome } from './card-work.ts'
import type { DriverBinding } from './driver-binding.ts'
import { type KnownCard, macOf } from './match.ts'
import type { MonotonicClock } from './monotonic-clock.ts'
import type { PciCard } from './pci-scan.ts'
import { hiddenCards, openAttachments, type RecoveryFacts } from './recovery.ts'
import { cardInUse } from './refusals.ts'
import type { SignsOfUse } from './signs-of-use.ts'
import { isKernelDriver } from './userspace-driver.ts'

/** An interface appears some 0.4 s after its driver on an emulated machine. */
const interfaceDeadlineMs = 5_000
const interfacePollMs = 20

export interface CardVisitsOptions {
  readonly binding: DriverBinding
  readonly signs: SignsOfUse
  readonly scan: () => readonly PciCard[]
  /** Of its own: its keys are cards, not attachments. */
  readonly work: CardWork
  readonly clock: MonotonicClock
  readonly log: Log
}

export interface VisitFacts extends RecoveryFacts {
  /** With what recovery.ts has added. */
  readonly matches: RecoveryFacts['matches']
  /** PCI addresses of which the journal has something that cannot be read. */
  readonly unreadable: ReadonlySet<string>
  /** The kubelet has said who has what, and no pod has or may have a device at this address. */
  readonly isFree: (pciAddress: string) => boolean
}

/** Cards that may be looked at closely; pure. */
export function cardsToVisit(facts: VisitFacts): readonly KnownCard[] {
  const places = [...facts.matches.values()].map((match) => match.kind === 'unidentified' && match.pciAddress)
  const isAnyOpen = openAttachments(facts).some(({ status }) => status?.eni?.attached === true)
  return hiddenCards(facts).filter(({ pciAddress, driver, isOpen }) => {
    if (!mayBeOfOurs(driver) || isOpen || !facts.isFree(pciAddress)) return false
    return places.includes(pciAddress) || (isAnyOpen && facts.unreadable.has(pciAddress))
  })
}

export class CardVisits {
  readonly #options: CardVisitsOptions
  readonly #strangers = new Set<string>()
  readonly #told = new Set<string>()

  constructor(options: CardVisitsOptions) {
    this.#options = options
  }

  readonly isStranger = (card: PciCard): boolean => this.#strangers.has(keyOf(card))

  /** To be called at each pass. */
  consider(facts: VisitFacts): void {
    const { work } = this.#options
    this.#report(facts)
    const candidates = cardsToVisit(facts)
    work.retain(new Set(candidates.map(keyOf)))
    // One after the other: what one visit shows may identify the rest.
    const next = candidates.find((card) => work.stateOf(keyOf(card)).kind === 'none')
    if (next === undefined || candidates.some((card) => work.stateOf(keyOf(card)).kind === 'running')) return
    const macs = new Set(facts.attachments.map(macOf))
    work.start(keyOf(next), { pciAddress: next.pciAddress }, () => this.#visit(next, macs))
  }

  settled(): Promise<void> {
    return this.#options.work.settled()
  }

  async #visit(card: KnownCard, ours: ReadonlySet<string | undefined>): Promise<WorkOutcome> {
    const { binding, signs, log } = this.#options
    const { pciAddress, driver } = card
    const sign = await signs.of(card)
    if (sign !== undefined) return { kind: 'failed', failure: cardInUse(pciAddress, sign) }
    const change = await binding.restore(card)
    if (change.kind === 'stuck') return { ...change, failure: failure(change.message) }
    if (change.kind === 'failed') return { kind: 'failed', failure: failure(change.message) }
    const mac = await this.#macOf(card)
    if (mac === undefined)
      return { kind: 'failed', failure: failure(`${pciAddress} shows no MAC with the kernel's driver`) }
    if (ours.has(mac)) {
      log.info({ pciAddress, mac }, 'card identified by its MAC')
      return { kind: 'done' }
    }
    this.#strangers.add(keyOf(card))
    log.warn({ pciAddress, mac, driver }, 'card is not ours, given back to the driver that it had')
    if (driver !== undefined) await binding.bind({ ...card, driver: binding.driverOf(card) }, driver)
    return { kind: 'done' }
  }

  async #macOf({ pciAddress, inode }: KnownCard): Promise<string | undefined> {
    const { scan, clock } = this.#options
    const deadline = clock.monotonic() + interfaceDeadlineMs
    for (;;) {
      const card = scan().find((seen) => seen.pciAddress === pciAddress && seen.inode === inode)
      if (card?.interfaces[0] !== undefined) return card.interfaces[0].mac
      if (card === undefined || clock.monotonic() >= deadline) return undefined
      await delay(interfacePollMs)
    }
  }

  /** Once for each appearance of a card that nothing identifies. */
  #report(facts: VisitFacts): void {
    const recovered = [...facts.matches.values()].map((match) => match.kind === 'recovered' && match.card.pciAddress)
    for (const card of hiddenCards(facts)) {
      const { pciAddress, driver } = card
      if (driver === undefined || isKernelDriver(driver) || recovered.includes(pciAddress)) continue
      if (this.#told.has(keyOf(card))) continue
      this.#told.add(keyOf(card))
      this.#options.log.warn({ pciAddress, driver }, 'card not identified; left alone while anybody may have it')
    }
  }
}

/** Drivers that NodeENIs can name, or none after a bind that was cut off. Another one is somebody else's doing. */
function mayBeOfOurs(driver: string | undefined): boolean {
  return driver === undefined || driver === 'vfio-pci' || driver === 'igb_uio'
}

function keyOf({ pciAddress, inode }: PciCard): string {
  return `${pciAddress} ${inode}`
}

function failure(message: string) {
  return { reason: 'CardNotIdentified', message, terminal: false } as const
}
