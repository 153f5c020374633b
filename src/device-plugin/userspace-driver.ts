// Drivers that give a card to a userspace program. Any other driver is the kernel's own for that card.

const userspaceDrivers: ReadonlySet<string> = new Set(['vfio-pci', 'igb_uio', 'uio_pci_generic'])

export function isKernelDriver(driver: string | undefined): boolean {
  return driver !== undefined && !userspaceDrivers.has(driver)
}
