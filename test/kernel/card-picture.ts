// All of a card that a person would miss if it changed, as the guest shows it.
import assert from 'node:assert/strict'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import type { Guest } from '../../sim/guest/guest.ts'

export interface CardPicture {
  readonly mac: string
  readonly pciAddress: string
  readonly driver: string
  readonly override: string
  /** All that `ip` tells: name, MTU, flags, alternative names, addresses. */
  readonly link: unknown
}

/** Sets `$name` to that of the interface with `$mac`, as soon as there is one. A VLAN on it would have no device of its own. */
export const findInterface = `name=
until [ -n "$name" ]; do
  for link in /sys/class/net/*; do
    [ -e "$link/device" ] && [ "$(cat "$link/address")" = "$mac" ] && name=\${link##*/}
  done
  [ -n "$name" ] || sleep 0.1
done`

/** The same, of one that has just come: udev renames it some moments later. */
export const findNewInterface = `${findInterface}
udevadm settle
${findInterface}`

const show = `mac=$1 card=/sys/bus/pci/devices/$2
${findInterface}
basename "$(readlink "$card/driver")"
cat "$card/driver_override"
ip -d -j address show dev "$name"`

/** The name of the interface with this MAC, as soon as there is one. */
export async function interfaceOf(guest: Guest, mac: string): Promise<string> {
  return (await guest.script(`mac=${mac}\n${findNewInterface}\necho "$name"`)).trim()
}

export async function pictureOf(node: GuestNode, macs: readonly string[]): Promise<readonly CardPicture[]> {
  const cards = await node.cards.list()
  return Promise.all(
    macs.map(async (mac) => {
      const card = cards.find((one) => one.mac === mac)
      assert.ok(card, `the card with ${mac} is on the bus`)
      const text = await node.guest.run('sh', ['-ec', show, 'show', mac, card.bdf])
      const [driver = '', override = '', ...link] = text.split('\n')
      return { mac, pciAddress: card.bdf, driver, override, link: JSON.parse(link.join('\n')) as unknown }
    }),
  )
}
