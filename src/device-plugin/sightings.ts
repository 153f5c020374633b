// When this process first saw the card and the claim of each attachment, and its device in the kubelet: the latencies that it
// tells are counted from there.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { Log } from '../process/log.ts'
import { logFields } from './card-steps.ts'
import type { ListedDevice } from './device-lists.ts'
import type { KnownCard, Match } from './match.ts'
import type { DevicePluginMetrics } from './metrics.ts'
import type { PlacedSituation } from './situation.ts'

/** All in monotonic milliseconds. */
export interface Sighting {
  readonly attachmentAt: number
  readonly card?: { readonly inode: string; readonly at: number }
  readonly claim?: { readonly uid: string; readonly at: number }
  /** Since when its device was in our list, as it was last seen in the kubelet's. */
  readonly advertisedSince?: number
}

export class Sightings {
  readonly #metrics: DevicePluginMetrics
  readonly #log: Log
  readonly #byUID = new Map<string, Sighting>()

  constructor(metrics: DevicePluginMetrics, log: Log) {
    this.#metrics = metrics
    this.#log = log
  }

  of({ metadata }: ENIAttachment): Sighting | undefined {
    return this.#byUID.get(metadata.uid)
  }

  see({ attachment, match: found }: PlacedSituation, now: number): void {
    // A claim that was freed counts as new when it comes again.
    const { claim: known, ...before } = this.of(attachment) ?? { attachmentAt: now }
    const { claim } = attachment.spec
    const after: Sighting = {
      ...before,
      ...(found.kind === 'found' &&
        found.card.inode !== before.card?.inode &&
        this.#newCard(attachment, found.card, now)),
      ...(claim !== undefined && { claim: claim.uid === known?.uid ? known : { uid: claim.uid, at: now } }),
    }
    this.#byUID.set(attachment.metadata.uid, after)
  }

  /** 0 of a card that has just come. */
  cardAgeMs(attachment: ENIAttachment, found: Match | undefined, now: number): number {
    const card = this.of(attachment)?.card
    return found?.kind === 'found' && found.card.inode === card?.inode ? now - card.at : 0
  }

  /**
   * The kubelet has the device. Each time that it has come into our list, how long that took; of a card only the first, when
   * nothing was told of it `before` (RFC 3339).
   */
  seeAdvertised(attachment: ENIAttachment, { since }: ListedDevice, before: string | undefined, now: number): void {
    const seen = this.of(attachment)
    if (seen === undefined || seen.advertisedSince === since) return
    this.#byUID.set(attachment.metadata.uid, { ...seen, advertisedSince: since })
    this.#metrics.advertiseSeconds.observe((now - since) / 1000)
    if (before !== undefined || seen.card === undefined) return
    this.#metrics.cardToAdvertisedSeconds.observe((now - seen.card.at) / 1000)
  }

  /** Forgets attachments that are gone. */
  retain(uids: ReadonlySet<string>): void {
    for (const uid of this.#byUID.keys()) if (!uids.has(uid)) this.#byUID.delete(uid)
  }

  #newCard(attachment: ENIAttachment, card: KnownCard, now: number): Pick<Sighting, 'card'> {
    const { driver, numaNode, interfaces } = card
    const names = interfaces.map(({ name }) => name)
    this.#log.info({ ...logFields(attachment, card), driver, numaNode, interfaces: names }, 'card seen')
    return { card: { inode: card.inode, at: now } }
  }
}
