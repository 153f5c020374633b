// One network card of the simulated node: what is known of it, and its directory below sys/devices.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { Lane } from './lane.ts'
import type { Entries, SysfsTree } from './sysfs-tree.ts'

export type DriverName = 'ena' | 'vfio-pci' | 'igb_uio'

/** What a test sees of a card. */
export interface Card {
  /** PCI address, "0000:00:06.0". */
  readonly bdf: string
  readonly mac: string
  readonly eniId: string
  readonly deviceIndex: number
  readonly driver: DriverName | null
  readonly ifname: string | null
  readonly iommuGroup: number | null
  /** Path of the character device as the node sees it, "/dev/vfio/3". */
  readonly deviceNode: string | null
}

export interface PciFacts {
  /** "1d0f:ec20", vendor and device as lspci -n writes them. */
  readonly deviceID: string
  readonly numaNode: number
  /** Of an Ethernet controller unless said otherwise. */
  readonly pciClass?: string
}

export class PluggedCard implements Card {
  readonly bdf: string
  readonly mac: string
  readonly eniId: string
  readonly deviceIndex: number
  readonly deviceID: string
  readonly numaNode: number
  driver: DriverName | null = null
  ifname: string | null = null
  iommuGroup: number | null = null
  deviceNode: string | null = null
  /** The device lock: the kernel does one bind, unbind or removal of a device at a time. */
  readonly lock = new Lane()

  constructor(identity: Pick<Card, 'bdf' | 'mac' | 'eniId' | 'deviceIndex'> & Partial<PciFacts>) {
    this.bdf = identity.bdf
    this.mac = identity.mac
    this.eniId = identity.eniId
    this.deviceIndex = identity.deviceIndex
    this.deviceID = identity.deviceID ?? ena
    this.numaNode = identity.numaNode ?? noNode
  }

  /** PCI device number on bus 0: 5 for 0000:00:05.0. */
  get slot(): number {
    return Number.parseInt(this.bdf.slice('0000:00:'.length), 16)
  }

  snapshot(): Card {
    const { bdf, mac, eniId, deviceIndex, driver, ifname, iommuGroup, deviceNode } = this
    return { bdf, mac, eniId, deviceIndex, driver, ifname, iommuGroup, deviceNode }
  }
}

export function bdfOfSlot(slot: number): string {
  return `0000:00:${slot.toString(16).padStart(2, '0')}.0`
}

export function deviceDirectory(tree: SysfsTree, bdf: string): string {
  return tree.at('sys/devices/pci0000:00', bdf)
}

/** Amazon's ENA. */
const ena = '1d0f:ec20'
const ethernetClass = '0x020000'

/** Virtual machines report no NUMA node (NUMA_NO_NODE, include/linux/numa.h). */
export const noNode = -1

export function deviceEntries(tree: SysfsTree, { deviceID, numaNode, pciClass = ethernetClass }: PciFacts): Entries {
  const [vendor = '', device = ''] = deviceID.split(':')
  return {
    vendor: `0x${vendor}\n`,
    device: `0x${device}\n`,
    subsystem_vendor: `0x${vendor}\n`,
    subsystem_device: `0x${device}\n`,
    class: `${pciClass}\n`,
    modalias: `${modalias(vendor, device, pciClass)}\n`,
    numa_node: `${numaNode}\n`,
    enable: '0\n',
    driver_override: noOverride,
    subsystem: { link: tree.at('sys/bus/pci') },
  }
}

/** As modalias_show in drivers/pci/pci-sysfs.c. */
function modalias(vendor: string, device: string, pciClass: string): string {
  const id = (text: string) => text.toUpperCase().padStart(8, '0')
  const [base, sub, programming] = [2, 4, 6].map((at) => pciClass.slice(at, at + 2).toUpperCase())
  const subsystem = `sv${id(vendor)}sd${id(device)}`
  return `pci:v${id(vendor)}d${id(device)}${subsystem}bc${base}sc${sub}i${programming}`
}

const noOverride = '(null)\n'

/**
 * The driver that driver_override asks for. As in the kernel the text ends at the first newline, a bare newline clears the
 * override and an empty one reads "(null)". Leaves the file as the kernel would show it.
 */
export function takeDriverOverride(tree: SysfsTree, bdf: string): string | null {
  const path = join(deviceDirectory(tree, bdf), 'driver_override')
  const [firstLine = ''] = readFileSync(path, 'utf8').split('\n', 1)
  const override = firstLine === '' || firstLine === noOverride.trim() ? null : firstLine
  tree.write(path, override === null ? noOverride : `${override}\n`)
  return override
}
