// The cards of a guest that come and go: real PCI devices (Intel 82574L, driver e1000e), plugged and unplugged by QEMU through the
// kernel's own hot-plug. The far end of each one's cable is here.
import path from 'node:path'
import { z } from 'zod'
import type { Guest } from './guest.ts'
import { cardPlace, cardPlaces } from './machine.ts'
import type { QmpEvent } from './qmp.ts'
import { Wire } from './wire.ts'

/** QEMU's name of it, which is that of its driver too, and vendor and device as `lspci -n` writes them. */
export const cardModel = { name: 'e1000e', pciId: '8086:10d3' } as const

export interface NewGuestCard {
  /** QEMU's name of it: letters, digits and dashes. */
  readonly id: string
  readonly mac: string
}

/** A card as the guest's kernel has it. */
export interface GuestCard extends NewGuestCard {
  readonly bdf: string
  readonly driver: string | null
}

/** Where QEMU plugs a card. */
interface Position {
  readonly place: number
  readonly function: 0 | 1
  /** The place has both functions: what Linux goes by when it gives them their IOMMU group is said by the device itself. */
  readonly multifunction: boolean
}

interface Plugged extends NewGuestCard, Position {
  readonly wire: Wire
  readonly pluggedAt: number
}

/** What QEMU tells of a PCI bus, as far as it is of use; bridges have buses of their own. */
interface PciBusInfo {
  readonly bus: number
  readonly devices: readonly PciDeviceInfo[]
}

interface PciDeviceInfo {
  readonly bus: number
  readonly slot: number
  readonly function: number
  readonly qdev_id: string
  readonly pci_bridge?: { readonly devices?: readonly PciDeviceInfo[] | undefined } | undefined
}

const deviceSchema: z.ZodType<PciDeviceInfo> = z.object({
  bus: z.number(),
  slot: z.number(),
  function: z.number(),
  qdev_id: z.string(),
  pci_bridge: z.object({ devices: z.array(z.lazy(() => deviceSchema)).optional() }).optional(),
})
const busesSchema: z.ZodType<readonly PciBusInfo[]> = z.array(
  z.object({ bus: z.number(), devices: z.array(deviceSchema) }),
)

/** The machine that has the cards. */
export type CardHolder = Pick<Guest, 'name' | 'machine' | 'primary' | 'qmp' | 'script'>

export class GuestCards {
  readonly #guest: CardHolder
  readonly #directory: string
  readonly #takenPlaces = new Set<number>()
  readonly #plugged = new Map<string, Plugged>()
  /** Of a second function whose first one has not come. */
  #begunPlace: number | undefined

  /** `directory` is where the sockets of the cables are. */
  constructor(guest: CardHolder, directory: string) {
    this.#guest = guest
    this.#directory = directory
  }

  /** Resolves when QEMU has plugged it in; the guest sees it some moments later. Nothing is left of one that QEMU refuses. */
  async plug(card: NewGuestCard): Promise<void> {
    await using undo = new AsyncDisposableStack()
    // Before anything is awaited: several may be plugged at once.
    const begun = this.#begunPlace
    this.#begunPlace = undefined
    const place = begun ?? this.#takePlace(undo)
    await this.#plugAt({ place, function: 0, multifunction: begun !== undefined }, card)
    undo.move()
  }

  /**
   * A second function of the card that is plugged next, in whose IOMMU group it is: the guest sees it when that comes (QEMU tells it of a
   * slot when function 0 is there), and loses it when that goes.
   */
  async plugSibling(card: NewGuestCard): Promise<void> {
    await using undo = new AsyncDisposableStack()
    const place = this.#takePlace(undo)
    await this.#plugAt({ place, function: 1, multifunction: true }, card)
    this.#begunPlace = place
    undo.move()
  }

  /**
   * Asks the guest to let go of it, and resolves when it has: it takes its time, for ever while a process uses the card. A guest that
   * ends has let go of all.
   */
  async unplug(mac: string): Promise<void> {
    const { id, place } = this.#cardWith(mac)
    const { qmp } = this.#guest
    const functions = [...this.#plugged.values()].filter((card) => card.place === place)
    const left = new Set(functions.map((card) => card.id))
    const gone = Promise.withResolvers<void>()
    const stop = qmp.onEvent((event) => {
      left.delete(deletedBy(event) ?? '')
      if (left.size === 0) gone.resolve()
    })
    const letGo = async () => {
      await qmp.execute('device_del', { id })
      await gone.promise
      for (const card of functions) await qmp.execute('netdev_del', { id: netdevOf(card.id) })
    }
    try {
      // First, so that what QEMU says no more at its end is no failure.
      await Promise.race([qmp.ended, letGo()])
    } finally {
      stop()
    }
    for (const card of functions) {
      await card.wire[Symbol.asyncDispose]()
      this.#plugged.delete(card.mac)
    }
    this.#takenPlaces.delete(place)
  }

  /** When QEMU was told to plug it in; milliseconds since the epoch, by this machine's clock. */
  pluggedAt(mac: string): number {
    return this.#cardWith(mac).pluggedAt
  }

  /** The other end of the card's cable. */
  wire(mac: string): Wire {
    return this.#cardWith(mac).wire
  }

  /** Those that QEMU has plugged, wherever their drivers are, and the primary one. */
  async list(): Promise<GuestCard[]> {
    const buses = busesSchema.parse(await this.#guest.qmp.execute('query-pci'))
    const devices = buses.flatMap(({ devices: own }) =>
      own.flatMap((device) => [device, ...(device.pci_bridge?.devices ?? [])]),
    )
    const drivers = await this.#drivers()
    const known = [...this.#plugged.values(), this.#guest.primary]
    return known.flatMap(({ id, mac }) => {
      const device = devices.find(({ qdev_id }) => qdev_id === id)
      if (device === undefined) return []
      const bdf = bdfOf(device)
      return [{ id, mac, bdf, driver: drivers.get(bdf) ?? null }]
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#plugged.values()].map(({ wire }) => wire[Symbol.asyncDispose]()))
  }

  /** By PCI address. */
  async #drivers(): Promise<Map<string, string>> {
    const devices = 'find /sys/bus/pci/drivers -mindepth 2 -name "????:??:??.?" -printf "%f %h\\n"'
    const lines = (await this.#guest.script(devices)).trim().split('\n')
    return new Map(
      lines.map((line) => {
        const [bdf = '', driver = ''] = line.split(' ')
        return [bdf, path.basename(driver)]
      }),
    )
  }

  async #plugAt(position: Position, { id, mac }: NewGuestCard): Promise<void> {
    const { qmp, machine } = this.#guest
    const { place, function: function_, multifunction } = position
    await using undo = new AsyncDisposableStack()
    const wire = undo.use(await Wire.open(path.join(this.#directory, `wire-${place}.${function_}.sock`)))
    const netdev = { id: netdevOf(id), type: 'stream', server: false, addr: { type: 'unix', path: wire.socketPath } }
    await qmp.execute('netdev_add', netdev)
    undo.defer(async () => void (await qmp.execute('netdev_del', { id: netdevOf(id) })))
    this.#plugged.set(mac, { id, mac, ...position, wire, pluggedAt: Date.now() })
    undo.defer(() => void this.#plugged.delete(mac))
    const { bus, addr } = cardPlace(machine, place)
    await qmp.execute('device_add', {
      driver: cardModel.name,
      id,
      mac,
      netdev: netdevOf(id),
      bus,
      addr: `${addr}.${function_}`,
      multifunction,
    })
    undo.move()
  }

  /** `undo` gives it back. */
  #takePlace(undo: AsyncDisposableStack): number {
    for (let place = 0; place < cardPlaces; place += 1) {
      if (this.#takenPlaces.has(place)) continue
      this.#takenPlaces.add(place)
      undo.defer(() => void this.#takenPlaces.delete(place))
      return place
    }
    throw new Error(`guest ${this.#guest.name} has ${cardPlaces} places for cards, and all are taken`)
  }

  #cardWith(mac: string): Plugged {
    const card = this.#plugged.get(mac)
    if (card === undefined) throw new Error(`guest ${this.#guest.name} has no card with MAC ${mac}`)
    return card
  }
}

function netdevOf(cardId: string): string {
  return `cable-${cardId}`
}

/** QEMU's name of the card that has gone. */
function deletedBy({ event, data }: QmpEvent): string | undefined {
  const { device } = data
  return event === 'DEVICE_DELETED' && typeof device === 'string' ? device : undefined
}

function bdfOf({ bus, slot, function: function_ }: PciDeviceInfo): string {
  const hex = (value: number) => value.toString(16).padStart(2, '0')
  return `0000:${hex(bus)}:${hex(slot)}.${function_}`
}
