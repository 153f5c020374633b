// Network that belongs to others and must never change: interfaces with addresses on the node itself, and cards on its PCI bus, one with
// an address, one without, that no ENIAttachment names.
import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { runCommand } from '../../sim/cluster/run-command.ts'
import type { Installation } from '../../sim/installation/installation.ts'
import type { Card } from '../../sim/pci/card.ts'

/** Documentation addresses (RFC 5737, RFC 3849): no machine has them. */
const addresses = ['192.0.2.1/31', '2001:db8::1/127'] as const
const cardAddress = '192.0.2.129'
const mtu = 1400

/** The machine's interfaces, which are those of all its simulated nodes. */
export class CanaryLinks implements AsyncDisposable {
  readonly #names: readonly [string, string]

  private constructor(names: readonly [string, string]) {
    this.#names = names
  }

  static async make(): Promise<CanaryLinks> {
    const [name, peer] = [`cny${process.pid}a`, `cny${process.pid}b`] as const
    await ip('link', 'add', name, 'mtu', String(mtu), 'type', 'veth', 'peer', 'name', peer)
    const links = new CanaryLinks([name, peer])
    try {
      await ip('link', 'property', 'add', 'dev', name, 'altname', `canary-of-${process.pid}`)
      for (const address of addresses) {
        await ip('address', 'add', address, 'dev', name, ...(address.includes(':') ? ['nodad'] : []))
      }
      for (const one of links.#names) await ip('link', 'set', one, 'up')
      return links
    } catch (error) {
      await links[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Addresses, flags, mtu, names: all that `ip` tells of them. */
  async picture(): Promise<readonly unknown[]> {
    const texts = await Promise.all(this.#names.map((name) => ip('-d', '-j', 'address', 'show', 'dev', name)))
    return texts.map((text) => JSON.parse(text) as unknown)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Its peer goes with it.
    await ip('link', 'delete', this.#names[0])
  }
}

/** Of one node: cards of others, in place before the device plugin first sees a NodeENI. */
export class CanaryCards {
  readonly #installation: Installation
  readonly #macs: ReadonlyMap<string, readonly string[]>

  private constructor(installation: Installation, macs: ReadonlyMap<string, readonly string[]>) {
    this.#installation = installation
    this.#macs = macs
  }

  static async plug(installation: Installation): Promise<CanaryCards> {
    const macs = new Map<string, readonly string[]>()
    for (const [index, { name }] of installation.cluster.nodes.entries()) {
      const bus = installation.bus(name)
      const [withAddress, without] = [`06:00:00:00:0${index}:01`, `06:00:00:00:0${index}:02`]
      const card = await bus.plug({ mac: withAddress, eniId: `eni-canary-${index}-1`, deviceIndex: 20 })
      bus.addressByHost(card.bdf, cardAddress)
      await bus.plug({ mac: without, eniId: `eni-canary-${index}-2`, deviceIndex: 21 })
      macs.set(name, [withAddress, without])
    }
    return new CanaryCards(installation, macs)
  }

  /** With its driver and names, and what was last written to steer it to another driver, and when. */
  picture(): readonly unknown[] {
    return [...this.#macs].flatMap(([nodeName, macs]) => {
      const bus = this.#installation.bus(nodeName)
      const cards = macs.map((mac) => bus.cards().find((card) => card.mac === mac))
      return cards.map((card) => ({ nodeName, card, override: card && overrideOf(bus.root, card) }))
    })
  }
}

function overrideOf(root: string, { bdf }: Card): string {
  const file = path.join(root, 'sys/bus/pci/devices', bdf, 'driver_override')
  return `${statSync(file, { bigint: true }).mtimeNs} ${readFileSync(file, 'utf8')}`
}

function ip(...args: readonly string[]): Promise<string> {
  return runCommand('ip', args)
}
