// Drivers that give a card to a userspace program. Any other driver is the kernel's own for that card.
import type { PciCard } from './pci-scan.ts'

const userspaceDrivers: ReadonlySet<string> = new Set(['vfio-pci', 'igb_uio', 'uio_pci_generic'])

export function isKernelDriver(driver: string | undefined): boolean {
  return driver !== undefined && !userspaceDrivers.has(driver)
}

/** vfio-pci makes an IOMMU group's device node and igb_uio one of its own: without it a pod could not open the card. */
export function hasDeviceNode({ driver, iommuGroup, isNodeMissing, uio }: PciCard): boolean {
  if (driver === 'vfio-pci') return iommuGroup !== undefined && !isNodeMissing
  return driver !== 'igb_uio' || uio !== undefined
}
