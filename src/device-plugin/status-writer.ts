// Brings the status of each attachment to the API server: the newest only, one write at a time per object, only when changed, and
// again when the watch shows that somebody else has changed it (another writer by hand, a restore from a backup).
import { type DeviceStatus, deviceStatusSchema, type ENIAttachment } from '../api/eni-attachment.ts'
import type { Log } from '../process/log.ts'
import type { AttachmentWrites } from './attachment-writes.ts'
import type { MonotonicClock } from './monotonic-clock.ts'

/** A step that follows within this time makes one write of two; a step that hangs is shown after it. */
const holdBackMs = 500
const firstBackoffMs = 250
const lastBackoffMs = 30_000
/** A watch that has not shown our write by then will not: it was undone before the watch came to it. */
const showDeadlineMs = 30_000
/** Between two repairs of one status, doubling: two writers that disagree must not fight at full speed. */
const firstRepairMs = 1_000
const lastRepairMs = 60_000

interface Slot {
  wanted: DeviceStatus | undefined
  attachment: ENIAttachment
  /** What we wrote last, or found at first, as text. */
  written: string
  /** Monotonic milliseconds since which the watch is to show `written`; undefined once it has. */
  unshownSince: number | undefined
  /** Monotonic milliseconds at which what somebody else has changed is written again; undefined when nobody has. */
  repairAt: number | undefined
  /** Repairs since the status has last stood for a while. */
  repairs: number
  repairedAt: number
  writing: boolean
  changedAt: number | undefined
  failures: number
  retryAt: number
}

export class StatusWriter {
  readonly #writes: AttachmentWrites
  readonly #clock: MonotonicClock
  readonly #log: Log
  readonly #slots = new Map<string, Slot>()

  constructor(writes: AttachmentWrites, clock: MonotonicClock, log: Log) {
    this.#writes = writes
    this.#clock = clock
    this.#log = log
  }

  /** What was wanted last, or else what the object has: times and acknowledgement go on from there. */
  lastOf(attachment: ENIAttachment): DeviceStatus | undefined {
    return this.#slots.get(attachment.metadata.uid)?.wanted ?? attachment.status?.device
  }

  /** To be called again and again; a status that is `passing` may be held back a little for the next one. */
  want(attachment: ENIAttachment, device: DeviceStatus, { passing }: { readonly passing: boolean }): void {
    const slot = this.#slotOf(attachment)
    const now = this.#clock.monotonic()
    if (slot.attachment !== attachment || slot.unshownSince !== undefined) this.#compare(slot, attachment, now)
    slot.attachment = attachment
    slot.wanted = device
    if (slot.writing) return
    if (textOf(device) === slot.written) {
      if (slot.repairAt === undefined || now < Math.max(slot.repairAt, slot.retryAt)) return
      slot.repairs++
      slot.repairedAt = now
      slot.writing = true
      void this.#write(slot)
      return
    }
    slot.changedAt ??= now
    if (now < slot.retryAt || (passing && now - slot.changedAt < holdBackMs)) return
    slot.writing = true
    void this.#write(slot)
  }

  /** Forgets objects that are gone. */
  retain(uids: ReadonlySet<string>): void {
    for (const uid of this.#slots.keys()) if (!uids.has(uid)) this.#slots.delete(uid)
  }

  #slotOf(attachment: ENIAttachment): Slot {
    const known = this.#slots.get(attachment.metadata.uid)
    if (known !== undefined) return known
    const written = textOf(attachment.status?.device)
    const slot: Slot = {
      wanted: undefined,
      attachment,
      written,
      unshownSince: undefined,
      repairAt: undefined,
      repairs: 0,
      repairedAt: Number.NEGATIVE_INFINITY,
      writing: false,
      changedAt: undefined,
      failures: 0,
      retryAt: Number.NEGATIVE_INFINITY,
    }
    this.#slots.set(attachment.metadata.uid, slot)
    return slot
  }

  /** The watch is behind our own writes for a while; what it shows after it has shown the last of them is somebody else's. */
  #compare(slot: Slot, attachment: ENIAttachment, now: number): void {
    if (slot.writing) return
    const shown = textOf(attachment.status?.device)
    if (shown === slot.written) slot.unshownSince = slot.repairAt = undefined
    // What we want and have not seen written is a write of ours whose answer was lost.
    if (shown === slot.written || shown === textOf(slot.wanted) || slot.repairAt !== undefined) return
    if (slot.unshownSince !== undefined && now - slot.unshownSince < showDeadlineMs) return
    if (now - slot.repairedAt > 2 * lastRepairMs) slot.repairs = 0
    slot.repairAt = slot.repairedAt + Math.min(firstRepairMs * 2 ** slot.repairs, lastRepairMs)
    slot.unshownSince = undefined
    this.#log.warn(
      { attachment: attachment.metadata.name },
      'somebody else has changed the device status, writing it again',
    )
  }

  async #write(slot: Slot): Promise<void> {
    const { attachment, wanted } = slot
    if (wanted === undefined) return
    try {
      await this.#writes.writeStatus(attachment, wanted)
      slot.written = textOf(wanted)
      slot.unshownSince = this.#clock.monotonic()
      slot.repairAt = undefined
      slot.changedAt = undefined
      slot.failures = 0
    } catch (error) {
      const retryMs = Math.min(firstBackoffMs * 2 ** slot.failures, lastBackoffMs)
      slot.failures++
      slot.retryAt = this.#clock.monotonic() + retryMs
      this.#log.warn({ attachment: attachment.metadata.name, retryMs, err: error }, 'status not written, trying again')
    } finally {
      slot.writing = false
    }
    if (slot.failures === 0 && slot.wanted !== undefined) this.want(slot.attachment, slot.wanted, { passing: false })
  }
}

/** In the schema's order of keys, so that equal is equal. */
function textOf(device: DeviceStatus | undefined): string {
  return device === undefined ? '' : JSON.stringify(deviceStatusSchema.parse(device))
}
