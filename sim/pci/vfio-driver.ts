// vfio-pci and the IOMMU groups. With an IOMMU a card has its group from plug on; without one it gets a new group at each bind,
// and only if unsafe no-IOMMU mode is on (drivers/vfio/group.c). Both take the lowest free number (ida_alloc, iommu.c).
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { deviceDirectory, type PluggedCard } from './card.ts'
import type { DeviceNodes } from './device-node.ts'
import type { Entries, SysfsTree } from './sysfs-tree.ts'

export type IommuMode = 'vfio' | 'noiommu'

const unsafeModeFile = 'sys/module/vfio/parameters/enable_unsafe_noiommu_mode'

export class VfioDriver {
  readonly #tree: SysfsTree
  readonly #nodes: DeviceNodes
  readonly #iommu: IommuMode
  readonly #groupsInUse = new Set<number>()

  constructor(tree: SysfsTree, nodes: DeviceNodes, iommu: IommuMode) {
    this.#tree = tree
    this.#nodes = nodes
    this.#iommu = iommu
  }

  async start(): Promise<void> {
    const tree = this.#tree
    for (const directory of ['sys/kernel/iommu_groups', 'sys/class/iommu', 'sys/module/vfio/parameters']) {
      tree.makeDirectory(tree.at(directory))
    }
    tree.write(tree.at(unsafeModeFile), this.#iommu === 'noiommu' ? 'Y\n' : 'N\n')
    if (this.#iommu === 'vfio') tree.makeDirectory(tree.at('sys/class/iommu/dmar0'))
    await this.#nodes.makeVfioContainer()
  }

  plugged(card: PluggedCard): void {
    if (this.#iommu !== 'vfio') return
    this.#join(card, this.#lowestFreeGroup(), {})
  }

  unplugged(card: PluggedCard): void {
    this.#leave(card)
  }

  /** Null when done, else why the probe failed: EINVAL in the kernel, which drivers_probe does not report. */
  bind(card: PluggedCard): string | null {
    if (this.#iommu === 'noiommu') {
      if (!this.#unsafeModeIsOn()) return 'no IOMMU, and enable_unsafe_noiommu_mode is off'
      this.#join(card, this.#lowestFreeGroup(), { name: 'vfio-noiommu\n' })
    }
    const group = card.iommuGroup ?? 0
    card.deviceNode = this.#iommu === 'vfio' ? `/dev/vfio/${group}` : `/dev/vfio/noiommu-${group}`
    this.#nodes.placeVfioGroup(card.deviceNode, group)
    return null
  }

  unbind(card: PluggedCard): void {
    if (card.deviceNode !== null) this.#nodes.remove(card.deviceNode)
    card.deviceNode = null
    if (this.#iommu === 'noiommu') this.#leave(card)
  }

  #lowestFreeGroup(): number {
    let group = 0
    while (this.#groupsInUse.has(group)) group++
    return group
  }

  #unsafeModeIsOn(): boolean {
    return /^[Yy1]/.test(readFileSync(this.#tree.at(unsafeModeFile), 'utf8'))
  }

  #join(card: PluggedCard, group: number, files: Entries): void {
    const directory = this.#groupDirectory(group)
    this.#tree.placeDirectory(directory, files)
    this.#tree.placeDirectory(join(directory, 'devices'), {
      [card.bdf]: { link: deviceDirectory(this.#tree, card.bdf) },
    })
    this.#tree.link(join(deviceDirectory(this.#tree, card.bdf), 'iommu_group'), directory)
    this.#groupsInUse.add(group)
    card.iommuGroup = group
  }

  #leave(card: PluggedCard): void {
    if (card.iommuGroup === null) return
    this.#tree.unlink(join(deviceDirectory(this.#tree, card.bdf), 'iommu_group'))
    this.#tree.removeDirectory(this.#groupDirectory(card.iommuGroup))
    this.#groupsInUse.delete(card.iommuGroup)
    card.iommuGroup = null
  }

  #groupDirectory(group: number): string {
    return this.#tree.at('sys/kernel/iommu_groups', String(group))
  }
}
