// Somebody who gives a card of a guest its name and its address, as a person would. No network manager runs that could set it otherwise.
import type { Guest } from '../../sim/guest/guest.ts'
import { findNewInterface } from './card-picture.ts'

const mtu = 1400
const altName = 'of-somebody-else'

const setUp = `mac=$1 address=$2
${findNewInterface}
ip link set "$name" mtu ${mtu} addrgenmode none
ip link property add dev "$name" altname "${altName}-$(echo "$mac" | tr -d :)"
ip address add "$address/32" dev "$name"
ip link set "$name" up
until [ "$(cat "/sys/class/net/$name/operstate")" = up ]; do sleep 0.1; done`

/** Resolves when its cable has a signal: from then on nothing about it changes by itself. */
export async function setUpByHand(guest: Guest, mac: string, address: string): Promise<void> {
  await guest.run('sh', ['-ec', setUp, 'set-up', mac, address])
}
