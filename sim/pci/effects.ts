// What can happen on the bus.
import type { Card, DriverName } from './card.ts'
import type { EffectFeed } from './effect-feed.ts'

export interface PciEffects {
  plugged: [card: Card]
  bound: [card: Card]
  'net-renamed': [card: Card, from: string]
  /** udev could not rename it, for it was up already. */
  'net-not-renamed': [card: Card]
  /** Its interface has gone to another network namespace, or has come back. */
  'net-left': [card: Card]
  'net-came-back': [card: Card]
  /** A probe found no driver willing; drivers_probe tells its writer nothing. */
  'probe-failed': [card: Card, reason: string]
  /** The driver begins to give the card up. */
  unbinding: [card: Card, from: DriverName]
  unbound: [card: Card, from: DriverName]
  'write-refused': [write: RefusedWrite]
  /** An unbind or unplug has begun that waits until the card is released. */
  waiting: [card: Card, operation: 'unbind' | 'unplug']
  unplugged: [card: Card]
  rebooted: []
  /** After each of the above. */
  change: []
}

export type PciEffectFeed = EffectFeed<PciEffects>

export interface RefusedWrite {
  /** "drivers/vfio-pci/bind". */
  readonly file: string
  readonly bdf: string
  /** What the kernel would have answered to the writer. */
  readonly errno: 'ENODEV' | 'EBUSY' | 'EINVAL'
}
