// vfio-pci and the IOMMU groups. With an IOMMU a card has its group from plug on; without one it gets a new group at each bind,
// and only if unsafe no-IOMMU mode is on (drivers/vfio/group.c). Both take the lowest free number (ida_alloc, iommu.c).
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

import { deviceDirectory, type PluggedCard } from './card.ts'
import type { DeviceNodes } from './device-node.ts'
import type { Entries, SysfsTree } from './sysfs-tree.ts'

/** `none`: there is no IOMMU, and vfio is built without the mode for that (CONFIG_VFIO_NOIOMMU), as distributions build it. */
export type IommuMode = 'vfio' | 'noiommu' | 'none'

const unsafeModeFile = 'sys/module/vfio/parameters/enable_unsafe_noiommu_mode'

export class VfioDriver {
  readonly #tree: SysfsTree
  readonly #nodes: DeviceNodes
  readonly #iommu: IommuMode
  /** Members by group number. */
  readonly #groups = new Map<number, Set<string>>()
  /** How many cards vfio-pci has, by group. */
  readonly #bound = new Map<number, number>()

  constructor(tree: SysfsTree, nodes: DeviceNodes, iommu: IommuMode) {
    this.#tree = tree
    this.#nodes = nodes
    this.#iommu = iommu
  }

  async start(): Promise<void> {
    const tree = this.#tree
    for (const directory of [
      'sys/kernel/iommu_groups',
      'sys/class/iommu',
      'sys/class/vfio',
      'sys/module/vfio/parameters',
    ]) {
      tree.makeDirectory(tree.at(directory))
    }
    if (this.#iommu !== 'none') tree.write(tree.at(unsafeModeFile), this.#iommu === 'noiommu' ? 'Y\n' : 'N\n')
    if (this.#iommu === 'vfio') tree.makeDirectory(tree.at('sys/class/iommu/dmar0'))
    await this.#nodes.makeVfioContainer()
  }

  plugged(card: PluggedCard, groupMate?: PluggedCard): void {
    if (this.#iommu !== 'vfio') return
    this.#join(card, groupMate?.iommuGroup ?? this.#lowestFreeGroup(), {})
  }

  /** Another function, which has the card's group for as long as that exists. */
  addMember(card: PluggedCard, bdf: string): void {
    if (card.iommuGroup === null) return
    this.#addTo(card.iommuGroup, bdf)
  }

  unplugged(card: PluggedCard): void {
    this.#leave(card)
  }

  /** Null when done, else why the probe failed: EINVAL in the kernel, which drivers_probe does not report. */
  bind(card: PluggedCard): string | null {
    if (this.#iommu === 'none') return 'no IOMMU, and no mode for that'
    if (this.#iommu === 'noiommu') {
      if (!this.#unsafeModeIsOn()) return 'no IOMMU, and enable_unsafe_noiommu_mode is off'
      this.#join(card, this.#lowestFreeGroup(), { name: 'vfio-noiommu\n' })
    }
    const group = card.iommuGroup ?? 0
    card.deviceNode = this.#iommu === 'vfio' ? `/dev/vfio/${group}` : `/dev/vfio/noiommu-${group}`
    if (!this.#bound.has(group)) this.#register(card.deviceNode, group)
    this.#bound.set(group, (this.#bound.get(group) ?? 0) + 1)
    return null
  }

  /** The group's device node goes with the last of its cards that vfio-pci has. */
  unbind(card: PluggedCard): void {
    const group = card.iommuGroup ?? 0
    const left = (this.#bound.get(group) ?? 1) - 1
    if (left > 0) this.#bound.set(group, left)
    else this.#bound.delete(group)
    if (card.deviceNode !== null && left === 0) this.#unregister(card.deviceNode)
    card.deviceNode = null
    if (this.#iommu === 'noiommu') this.#leave(card)
  }

  /** devtmpfs makes the node of what the class shows. */
  #register(deviceNode: string, group: number): void {
    const name = basename(deviceNode)
    this.#tree.placeDirectory(this.#tree.at('sys/class/vfio', name), {})
    this.#nodes.placeVfioGroup(deviceNode, group)
  }

  #unregister(deviceNode: string): void {
    this.#nodes.remove(deviceNode)
    this.#tree.removeDirectory(this.#tree.at('sys/class/vfio', basename(deviceNode)))
  }

  #lowestFreeGroup(): number {
    let group = 0
    while (this.#groups.has(group)) group++
    return group
  }

  #unsafeModeIsOn(): boolean {
    return /^[Yy1]/.test(readFileSync(this.#tree.at(unsafeModeFile), 'utf8'))
  }

  #join(card: PluggedCard, group: number, files: Entries): void {
    if (!this.#groups.has(group)) {
      this.#tree.placeDirectory(this.#groupDirectory(group), files)
      this.#tree.makeDirectory(join(this.#groupDirectory(group), 'devices'))
      this.#groups.set(group, new Set())
    }
    this.#addTo(group, card.bdf)
    card.iommuGroup = group
  }

  #addTo(group: number, bdf: string): void {
    const directory = this.#groupDirectory(group)
    this.#tree.link(join(directory, 'devices', bdf), deviceDirectory(this.#tree, bdf))
    this.#tree.link(join(deviceDirectory(this.#tree, bdf), 'iommu_group'), directory)
    this.#groups.get(group)?.add(bdf)
  }

  #leave(card: PluggedCard): void {
    const group = card.iommuGroup
    if (group === null) return
    const directory = this.#groupDirectory(group)
    this.#tree.unlink(join(deviceDirectory(this.#tree, card.bdf), 'iommu_group'))
    this.#tree.unlink(join(directory, 'devices', card.bdf))
    card.iommuGroup = null
    const members = this.#groups.get(group)
    members?.delete(card.bdf)
    if (members !== undefined && members.size > 0) return
    this.#tree.removeDirectory(directory)
    this.#groups.delete(group)
  }

  #groupDirectory(group: number): string {
    return this.#tree.at('sys/kernel/iommu_groups', String(group))
  }
}
