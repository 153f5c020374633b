// Where the kubelet, the claims and our lists do not agree. None of it is repaired here: the attacher moves claims to the real
// holders, and a device that a pod holds is never touched. Each disagreement is counted and told once.
import type { Log } from '../process/log.ts'
import { logFields } from './card-steps.ts'
import type { DeviceLists } from './device-lists.ts'
import type { MismatchKind } from './metrics.ts'
import type { NodeEvents } from './node-events.ts'
import { deviceKey, type DeviceKey, type Holder, type Occupancy } from './occupancy.ts'
import type { Plan } from './situation.ts'

/** After a start, or a reboot, cards that pods hold come into our lists one after the other. */
const graceMs = 15_000

export interface MismatchesOptions {
  readonly lists: DeviceLists
  readonly occupancy: Pick<Occupancy, 'holders'>
  readonly events: NodeEvents
  readonly log: Log
  readonly onMismatch: (kind: MismatchKind) => void
}

export class Mismatches {
  readonly #options: MismatchesOptions
  /** Monotonic milliseconds at which each was seen first; infinite once it was told. */
  readonly #unlisted = new Map<DeviceKey, number>()
  readonly #displaced = new Map<string, string>()

  constructor(options: MismatchesOptions) {
    this.#options = options
  }

  /** To be called after each pass. `resources` are those that are registered by us. */
  look(plans: readonly Plan[], resources: ReadonlySet<string>, now: number): void {
    this.#lookAtLists(resources, now)
    this.#lookAtClaims(plans)
  }

  #lookAtLists(resources: ReadonlySet<string>, now: number): void {
    const { lists, occupancy } = this.#options
    const listed = new Set(lists.all().map(({ resource, card }) => deviceKey(resource, card.pciAddress)))
    const unlisted = [...occupancy.holders].filter(([key]) => resources.has(resourceOf(key)) && !listed.has(key))
    const keys = new Set(unlisted.map(([key]) => key))
    for (const key of this.#unlisted.keys()) if (!keys.has(key)) this.#unlisted.delete(key)
    for (const [key, holder] of unlisted) {
      const since = this.#unlisted.get(key) ?? now
      this.#unlisted.set(key, since)
      if (now - since < graceMs) continue
      this.#unlisted.set(key, Number.POSITIVE_INFINITY)
      this.#tellUnlisted(key, holder)
    }
  }

  #tellUnlisted(key: DeviceKey, { namespace, name }: Holder): void {
    const { events, log, onMismatch } = this.#options
    onMismatch('held_not_listed')
    const [resource, pciAddress] = key.split(' ')
    const pod = `${namespace}/${name}`
    log.warn({ resource, pciAddress, pod }, 'pod holds a device that is not in our list')
    events.unlistedDeviceHeld(key, pod)
  }

  #lookAtClaims(plans: readonly Plan[]): void {
    const { occupancy, log, onMismatch } = this.#options
    const now = new Map<string, string>()
    for (const { situation } of plans) {
      const { attachment, key } = situation
      const { claim } = attachment.spec
      const holder = occupancy.holders.get(key ?? '')
      if (claim === undefined || holder === undefined) continue
      if (holder.namespace === claim.namespace && holder.name === claim.name) continue
      const pod = `${holder.namespace}/${holder.name}`
      const { uid } = attachment.metadata
      const text = `${pod} ${claim.uid}`
      now.set(uid, text)
      if (this.#displaced.get(uid) === text) continue
      this.#displaced.set(uid, text)
      onMismatch('held_by_another_pod')
      log.info(
        {
          ...logFields(attachment, situation.address === undefined ? undefined : { pciAddress: situation.address }),
          pod,
          claim: `${claim.namespace}/${claim.name}`,
        },
        'device in use by another pod than the one that has claimed it',
      )
    }
    for (const uid of this.#displaced.keys()) if (!now.has(uid)) this.#displaced.delete(uid)
  }
}

function resourceOf(key: DeviceKey): string {
  return key.split(' ')[0] ?? ''
}
