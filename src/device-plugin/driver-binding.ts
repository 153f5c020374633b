// Moves a card between the kernel's driver and a userspace driver by driver_override, unbind and drivers_probe, and back when
// that fails. new_id is never used: it would take every card of the same model, the primary one too.
import { existsSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import type { Log } from '../process/log.ts'
import type { MonotonicClock } from './monotonic-clock.ts'
import type { ControlWrites } from './control-writes.ts'
import type { ControlWrite } from './sysfs-writer.ts'
import { noIommuMode } from './no-iommu-mode.ts'
import { isKernelDriver } from './userspace-driver.ts'

export interface BoundCard {
  readonly pciAddress: string
  /** Of its directory in sysfs, when it was seen with this driver. */
  readonly inode: string
  readonly driver: string | undefined
}

export type DriverChange =
  | { readonly kind: 'done' }
  /** `driver` is what the card has now. */
  | {
      readonly kind: 'failed'
      readonly message: string
      readonly driver: string | undefined
      /** It was not tried, because a process has the card open. */
      readonly isInUse?: true
      /** vfio-pci refuses the card, for no IOMMU covers it: the state of the mode that would do without one. */
      readonly noIommuMode?: 'off' | 'absent'
    }
  | { readonly kind: 'stuck'; readonly message: string; readonly ended: Promise<void> }

/** drivers_probe has finished when its write returns; this is for drivers that probe asynchronously. */
const settleDeadlineMs = 2_000
const settlePollMs = 2

export interface DriverBindingOptions {
  readonly sys: string
  readonly writes: Pick<ControlWrites, 'write'>
  /** Whether a pod could open the card at this PCI address. */
  readonly hasDeviceNode: (pciAddress: string) => boolean
  readonly clock: MonotonicClock
  readonly log: Log
  readonly settleDeadlineMs?: number
}

export class DriverBinding {
  readonly #sys: string
  readonly #pci: string
  readonly #writes: Pick<ControlWrites, 'write'>
  readonly #hasDeviceNode: DriverBindingOptions['hasDeviceNode']
  readonly #clock: MonotonicClock
  readonly #log: Log
  readonly #deadlineMs: number

  constructor(options: DriverBindingOptions) {
    this.#sys = options.sys
    this.#pci = `${options.sys}/bus/pci`
    this.#writes = options.writes
    this.#hasDeviceNode = options.hasDeviceNode
    this.#clock = options.clock
    this.#log = options.log
    this.#deadlineMs = options.settleDeadlineMs ?? settleDeadlineMs
  }

  /** Whether the kernel has this driver, built in or loaded. */
  hasDriver(driver: string): boolean {
    return existsSync(`${this.#pci}/drivers/${driver}`)
  }

  /** The driver that has the card now. */
  driverOf({ pciAddress }: Pick<BoundCard, 'pciAddress'>): string | undefined {
    try {
      return basename(readlinkSync(`${this.#pci}/devices/${pciAddress}/driver`))
    } catch {
      return undefined
    }
  }

  /** Gives the card to a userspace driver; on failure the kernel's driver gets it back. */
  async bind(card: BoundCard, driver: string): Promise<DriverChange> {
    const change = await this.#move(card, `${driver}\n`, (now) => now === driver)
    if (change.kind === 'done') {
      // The driver's link is there before what its probe makes (really_probe in drivers/base/dd.c). A node that does not come is for
      // plan.ts to tell.
      await this.#settles(card, () => this.#hasDeviceNode(card.pciAddress))
      return this.clearOverride(card)
    }
    if (change.kind === 'stuck') return change
    const back = await this.#rollBack(card)
    if (back.kind === 'stuck') return back
    const after = back.kind === 'done' ? 'the kernel has the card again' : `and the way back failed: ${back.message}`
    return { ...change, message: `${change.message}; ${after}`, driver: this.driverOf(card) }
  }

  /** An override that stays would catch the card again at the next rescan. It is never read: that can block. */
  async clearOverride(card: BoundCard): Promise<DriverChange> {
    const cleared = await this.#write(card, [this.#override(card, '\n')])
    if (cleared.kind !== 'failed') return cleared
    const { pciAddress, driver } = card
    this.#log.warn({ pciAddress, driver, reason: cleared.message }, 'driver_override not cleared')
    return { kind: 'done' }
  }

  /** Gives the card to whichever driver the kernel chooses by itself. */
  async restore(card: BoundCard): Promise<DriverChange> {
    return this.#move(card, '\n', isKernelDriver)
  }

  async #rollBack(card: BoundCard): Promise<DriverChange> {
    const driver = this.driverOf(card)
    // It never left: to unbind it now would be a second try of what has just failed.
    if (driver !== undefined && driver === card.driver) return this.#write(card, [this.#override(card, '\n')])
    return this.restore({ ...card, driver })
  }

  /** The override, then free of its driver, then probed; each step is seen in sysfs before the next. */
  async #move(card: BoundCard, override: string, good: (driver: string | undefined) => boolean): Promise<DriverChange> {
    const { pciAddress, driver } = card
    const freeing = [this.#override(card, override)]
    if (driver !== undefined) freeing.push({ path: `${this.#pci}/drivers/${driver}/unbind`, value: pciAddress })
    const freed = await this.#write(card, freeing)
    if (freed.kind !== 'done') return freed
    if (!(await this.#settles(card, (now) => now === undefined))) {
      return this.#failed(card, `${pciAddress} is still bound to ${driver} after unbind`)
    }
    const probed = await this.#write(card, [{ path: `${this.#pci}/drivers_probe`, value: pciAddress }])
    if (probed.kind !== 'done') return probed
    // drivers_probe reports success even when the driver refused the card; only the link tells.
    if (await this.#settles(card, good)) return { kind: 'done' }
    const wanted = override.trim() === '' ? "the kernel's driver" : override.trim()
    const failed = this.#failed(card, `${wanted} did not take ${pciAddress}; the kernel log says why`)
    return wanted === 'vfio-pci' ? (this.#lackOfIommu(card) ?? failed) : failed
  }

  /** With an IOMMU a card has its group from plug on; without one vfio refuses it with EINVAL (vfio_group_find_or_alloc, drivers/vfio). */
  #lackOfIommu(card: BoundCard): (DriverChange & { readonly kind: 'failed' }) | undefined {
    const { pciAddress } = card
    if (existsSync(`${this.#pci}/devices/${pciAddress}/iommu_group`)) return undefined
    const mode = noIommuMode(this.#sys)
    if (mode === 'on') return undefined
    const lack = {
      off: 'and the mode of vfio without one is off (enable_unsafe_noiommu_mode)',
      absent: 'and the vfio of its kernel is built without the mode for that (CONFIG_VFIO_NOIOMMU)',
    }
    const message = `vfio-pci did not take ${pciAddress}: the node has no IOMMU, ${lack[mode]}`
    return { ...this.#failed(card, message), noIommuMode: mode }
  }

  #override({ pciAddress }: BoundCard, value: string) {
    // Writing "" does nothing; "\n" clears the override.
    return { path: `${this.#pci}/devices/${pciAddress}/driver_override`, value }
  }

  async #write(card: BoundCard, writes: readonly ControlWrite[]): Promise<DriverChange> {
    const { pciAddress, inode } = card
    const outcome = await this.#writes.write({ directory: `${this.#pci}/devices/${pciAddress}`, inode }, writes)
    switch (outcome.kind) {
      case 'written':
        return { kind: 'done' }
      case 'refused':
        return {
          ...this.#failed(card, `write to ${outcome.path}: ${outcome.code}`),
          ...(outcome.isInUse && { isInUse: true }),
        }
      case 'stuck':
        return {
          ...outcome,
          message: `a write to ${writes.at(-1)?.path ?? ''} does not return: a process has the card`,
        }
    }
  }

  #failed(card: BoundCard, message: string): DriverChange & { readonly kind: 'failed' } {
    return { kind: 'failed', message, driver: this.driverOf(card) }
  }

  async #settles(card: BoundCard, good: (driver: string | undefined) => boolean): Promise<boolean> {
    const deadline = this.#clock.monotonic() + this.#deadlineMs
    while (!good(this.driverOf(card))) {
      if (this.#clock.monotonic() >= deadline) return false
      await delay(settlePollMs)
    }
    return true
  }
}
