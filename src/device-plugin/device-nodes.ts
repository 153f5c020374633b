// The device nodes through which a process uses a card, on the host and in a container, as the SR-IOV network device plugin
// maps them (pkg/infoprovider, pkg/utils GetVFIODeviceFile).
import { groupNodeName, type IommuGroup, type PciCard } from './pci-scan.ts'

export interface DeviceNode {
  readonly containerPath: string
  readonly hostPath: string
}

/** Read and write without mknod, as upstream since its PR 491. */
export const nodePermissions = 'rw'

export const vfioContainerPath = '/dev/vfio/vfio'

/** `dev` is the host's /dev. Empty for a card with the kernel's driver. */
export function deviceNodesOf(card: PciCard, dev: string): readonly DeviceNode[] {
  const group = vfioGroupOf(card)
  if (group !== undefined) {
    // Upstream maps a no-IOMMU group to the plain name; DPDK looks for that one first (lib/eal/linux/eal_vfio.c).
    return [
      { containerPath: vfioContainerPath, hostPath: `${dev}/vfio/vfio` },
      { containerPath: vfioGroupPath(group), hostPath: `${dev}/vfio/${groupNodeName(group)}` },
    ]
  }
  if (card.uio === undefined) return []
  return [{ containerPath: `/dev/${card.uio}`, hostPath: `${dev}/${card.uio}` }]
}

/** In a container. */
export function vfioGroupPath({ number }: IommuGroup): string {
  return `/dev/vfio/${number}`
}

/** A card has an IOMMU group whatever its driver; it is of use only with vfio-pci. */
export function vfioGroupOf({ driver, iommuGroup }: PciCard): IommuGroup | undefined {
  return driver === 'vfio-pci' ? iommuGroup : undefined
}
