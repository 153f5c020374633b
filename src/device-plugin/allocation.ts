// What a container gets with its devices: the environment and device nodes of the SR-IOV network device plugin
// (pkg/resources/pool_stub.go, pkg/infoprovider), so that charts made for it work, and who the ENI is.
import type { ContainerAllocateResponse } from './gen/v1beta1/ContainerAllocateResponse.ts'
import type { DeviceSpec } from './gen/v1beta1/DeviceSpec.ts'
import type { OfferedDevice } from './device-lists.ts'
import { groupNodeName, type IommuGroup, type PciCard } from './pci-scan.ts'

/** Read and write without mknod, as upstream since its PR 491. */
const permissions = 'rw'

/** `dev` is the host's /dev. */
export function containerAnswer(
  resource: string,
  devices: readonly OfferedDevice[],
  dev: string,
): ContainerAllocateResponse {
  const name = environmentName(resource)
  const info = Object.fromEntries(devices.map((device) => [device.card.pciAddress, deviceInfo(device)]))
  const nodes = devices.flatMap(({ card }) => deviceNodes(card, dev))
  return {
    envs: {
      [name]: devices.map(({ card }) => card.pciAddress).join(','),
      [`${name}_INFO`]: JSON.stringify(info),
    },
    // Devices bound to vfio-pci share the container node.
    devices: [...new Map(nodes.map((node) => [node.containerPath, node])).values()],
  }
}

/** PCIDEVICE_INTEL_COM_UPF_DATAPLANE for intel.com/upf_dataplane; "-" stays, as it does upstream. */
export function environmentName(resource: string): string {
  return `PCIDEVICE_${resource.toUpperCase().replaceAll(/[./]/g, '_')}`
}

function deviceInfo({ card, eni }: OfferedDevice): object {
  return {
    generic: { deviceID: card.pciAddress },
    ...userspaceInfo(card),
    eni: {
      id: eni.eniID,
      mac: eni.mac,
      subnet: eni.subnetID,
      cidr: eni.cidr,
      addresses: eni.addresses ?? [],
      deviceIndex: eni.deviceIndex,
      networkCard: eni.networkCard,
    },
  }
}

function userspaceInfo(card: PciCard): object {
  const group = vfioGroup(card)
  if (group !== undefined) return { vfio: { mount: '/dev/vfio/vfio', 'dev-mount': `/dev/vfio/${group.number}` } }
  return card.uio === undefined ? {} : { uio: { mount: `/dev/${card.uio}` } }
}

function deviceNodes(card: PciCard, dev: string): readonly DeviceSpec[] {
  const group = vfioGroup(card)
  if (group !== undefined) {
    // Upstream maps a no-IOMMU group to the plain name; DPDK looks for that one first (lib/eal/linux/eal_vfio.c).
    const hostName = groupNodeName(group)
    return [
      { containerPath: '/dev/vfio/vfio', hostPath: `${dev}/vfio/vfio`, permissions },
      { containerPath: `/dev/vfio/${group.number}`, hostPath: `${dev}/vfio/${hostName}`, permissions },
    ]
  }
  if (card.uio === undefined) return []
  return [{ containerPath: `/dev/${card.uio}`, hostPath: `${dev}/${card.uio}`, permissions }]
}

/** A card has an IOMMU group whatever its driver; it is of use only with vfio-pci. */
function vfioGroup({ driver, iommuGroup }: PciCard): IommuGroup | undefined {
  return driver === 'vfio-pci' ? iommuGroup : undefined
}
