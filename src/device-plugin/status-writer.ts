// Brings the status of each attachment to the API server: the newest only, one write at a time per object, only when changed.
import { type DeviceStatus, deviceStatusSchema, type ENIAttachment } from '../api/eni-attachment.ts'
import type { Log } from '../process/log.ts'
import type { AttachmentWrites } from './attachment-writes.ts'
import type { MonotonicClock } from './monotonic-clock.ts'

/** A step that follows within this time makes one write of two; a step that hangs is shown after it. */
const holdBackMs = 500
const firstBackoffMs = 250
const lastBackoffMs = 30_000

interface Slot {
  wanted: DeviceStatus | undefined
  attachment: ENIAttachment
  /** What the API server has, as text. */
  written: string
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
    slot.attachment = attachment
    slot.wanted = device
    if (slot.writing || textOf(device) === slot.written) return
    const now = this.#clock.monotonic()
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
      writing: false,
      changedAt: undefined,
      failures: 0,
      retryAt: Number.NEGATIVE_INFINITY,
    }
    this.#slots.set(attachment.metadata.uid, slot)
    return slot
  }

  async #write(slot: Slot): Promise<void> {
    const { attachment, wanted } = slot
    if (wanted === undefined) return
    try {
      await this.#writes.writeStatus(attachment, wanted)
      slot.written = textOf(wanted)
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
