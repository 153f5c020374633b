// Stands in for the device plugins of all nodes of a fleet: offers each attached ENI to its node's kubelet, acknowledges claims,
// shows holders, and ends its finalizer. What is written, and when a claim is acknowledged, is decided by the device plugin's own
// functions (src/device-plugin/device-status.ts), and written by its own writer.
import { type DeviceStatus, type ENIAttachment, isDeleting } from '../../src/api/eni-attachment.ts'
import { deviceFinalizer } from '../../src/api/names.ts'
import type { AttachmentWrites } from '../../src/device-plugin/attachment-writes.ts'
import { acknowledgement, deviceStatus } from '../../src/device-plugin/device-status.ts'
import type { PciCard } from '../../src/device-plugin/pci-scan.ts'
import { WorkQueue } from '../../src/kube/work-queue.ts'
import { type Clock, timestamp } from '../../src/process/clock.ts'
import type { Log } from '../../src/process/log.ts'
import type { DeviceBook } from './device-book.ts'
import type { FleetNodes } from './fleet-nodes.ts'

/** Of all nodes together; each real plugin has its own. */
const writesAtOnce = 64
/** Devices behind the primary card, as Nitro counts them: 0000:00:05.0 is the primary one. */
const firstSlot = 5

export interface PluginStandInParts {
  readonly writes: AttachmentWrites
  readonly nodes: FleetNodes
  readonly book: DeviceBook
  readonly clock: Clock
  readonly log: Log
  /** From the moment at which EC2 has attached a card to that at which the kubelet has its device. */
  readonly offerDelayMs: number
}

interface Known {
  attachment: ENIAttachment
  /** Last written, or found at first. */
  written: DeviceStatus | undefined
  claimUID: string | undefined
  /** Monotonic milliseconds. */
  claimSeenAt: number
  attachedSeenAt: number | undefined
}

export class PluginStandIn {
  readonly #parts: PluginStandInParts
  readonly #queue: WorkQueue
  readonly #known = new Map<string, Known>()
  readonly #byNode = new Map<string, Set<string>>()
  readonly #nameOf = new Map<string, string>()
  #acknowledged = 0

  constructor(parts: PluginStandInParts) {
    this.#parts = parts
    this.#queue = new WorkQueue((name) => this.#work(name), writesAtOnce, parts.log, parts.clock)
    parts.nodes.onChange((nodeName) => {
      for (const name of this.#byNode.get(nodeName) ?? []) this.#queue.add(name)
    })
  }

  /** Claims that it has acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal)
  }

  /** What a watch says. */
  setAttachment(name: string, attachment: ENIAttachment | undefined): void {
    const before = this.#known.get(name)
    if (before !== undefined && before.attachment.metadata.uid !== attachment?.metadata.uid) this.#forget(name, before)
    if (attachment === undefined) return
    const { uid } = attachment.metadata
    const known = this.#known.get(name) ?? newlyKnown(attachment)
    known.attachment = attachment
    const now = this.#parts.clock.monotonic()
    if (known.claimUID !== attachment.spec.claim?.uid) {
      known.claimUID = attachment.spec.claim?.uid
      known.claimSeenAt = now
    }
    if (attachment.status?.eni?.attached === true) known.attachedSeenAt ??= now
    else known.attachedSeenAt = undefined
    this.#known.set(name, known)
    this.#nameOf.set(uid, name)
    const { nodeName } = attachment.spec
    this.#byNode.set(nodeName, (this.#byNode.get(nodeName) ?? new Set()).add(name))
    this.#queue.add(name)
  }

  /** The kubelet has given these devices to a pod, or has them back. */
  devicesChanged(keys: readonly string[]): void {
    for (const key of keys) {
      const name = this.#nameOf.get(key)
      if (name !== undefined) this.#queue.add(name)
    }
  }

  isClaimed(key: string): boolean {
    return this.#known.get(this.#nameOf.get(key) ?? '')?.claimUID !== undefined
  }

  #forget(name: string, { attachment }: Known): void {
    this.#parts.book.withdraw(attachment.metadata.uid)
    this.#known.delete(name)
    this.#nameOf.delete(attachment.metadata.uid)
    this.#byNode.get(attachment.spec.nodeName)?.delete(name)
  }

  /** Milliseconds after which there is more to do. */
  async #work(name: string): Promise<number | undefined> {
    const known = this.#known.get(name)
    if (known === undefined) return undefined
    const { nodes, writes, book, clock } = this.#parts
    const { attachment } = known
    const { nodeName, instanceID, resourceName } = attachment.spec
    const node = nodes.get(nodeName)
    if (node === undefined || node.instanceID !== instanceID || nodes.isSilent(nodeName)) return undefined
    const { uid } = attachment.metadata
    if (isDeleting(attachment) && book.holderOf(uid) === undefined && attachment.spec.claim === undefined) {
      book.withdraw(uid)
      if (attachment.metadata.finalizers?.includes(deviceFinalizer) === true) await writes.endFinalizer(attachment)
      return undefined
    }
    if (resourceName === undefined || !node.registered.has(resourceName) || known.attachedSeenAt === undefined) {
      return undefined
    }
    const early = known.attachedSeenAt + this.#parts.offerDelayMs - clock.monotonic()
    if (early > 0 && !book.isOffered(uid)) return early
    book.offer({ key: uid, nodeName, resource: resourceName })
    await this.#write(known)
    return undefined
  }

  async #write(known: Known): Promise<void> {
    const { attachment, written } = known
    const status = this.#statusOf(known)
    if (status === undefined || JSON.stringify(status) === JSON.stringify(written)) return
    await this.#parts.writes.writeStatus(attachment, status)
    known.written = status
    if (status.acknowledged !== undefined && status.acknowledged !== written?.acknowledged) this.#acknowledged++
  }

  #statusOf({ attachment, written, claimUID, claimSeenAt }: Known): DeviceStatus | undefined {
    const { book, clock } = this.#parts
    const holding = book.holderOf(attachment.metadata.uid)
    const holder = holding && { namespace: holding.namespace, name: holding.name }
    const acknowledged = acknowledgement({
      claimUID,
      before: written?.acknowledged,
      isSeen: true,
      advertised: true,
      isFree: holder === undefined,
      holder,
      claimSeenAt,
      // The kubelet is asked at this moment.
      listedAt: clock.monotonic(),
    })
    const facts = {
      card: cardOf(attachment),
      interfaceName: undefined,
      isBound: true,
      health: 'Healthy',
      advertised: true,
      acknowledged,
      holder,
      failure: undefined,
    } as const
    return deviceStatus(written, facts, timestamp(clock))
  }
}

function newlyKnown(attachment: ENIAttachment): Known {
  return {
    attachment,
    written: attachment.status?.device,
    claimUID: undefined,
    claimSeenAt: Number.NEGATIVE_INFINITY,
    attachedSeenAt: undefined,
  }
}

function cardOf({ metadata, status }: ENIAttachment): PciCard {
  const slot = (firstSlot + (status?.eni?.deviceIndex ?? 0)).toString(16).padStart(2, '0')
  return {
    pciAddress: `0000:00:${slot}.0`,
    inode: metadata.uid,
    deviceID: '1d0f:ec20',
    driver: 'vfio-pci',
    isOpen: false,
    interfaces: [],
    iommuGroup: undefined,
    groupMates: [],
    isNodeMissing: false,
    uio: undefined,
    numaNode: undefined,
  }
}
