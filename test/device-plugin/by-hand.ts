// What somebody does to a card of the node by hand.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { NodeUnderTest } from './node-under-test.ts'

/** Gives the card to vfio-pci; without an IOMMU it takes a group number by that. */
export async function bindByHand(node: NodeUnderTest, bdf: string): Promise<void> {
  const driverOf = () => node.bus.cards().find((card) => card.bdf === bdf)?.driver
  writeFileSync(join(node.root, 'sys/bus/pci/devices', bdf, 'driver_override'), 'vfio-pci\n')
  writeFileSync(join(node.root, 'sys/bus/pci/drivers/ena/unbind'), bdf)
  await node.bus.effects.until(() => driverOf() === null)
  writeFileSync(join(node.root, 'sys/bus/pci/drivers_probe'), bdf)
  await node.bus.effects.until(() => driverOf() === 'vfio-pci')
}
