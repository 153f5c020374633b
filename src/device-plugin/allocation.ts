// What a container gets with its devices: the environment and device nodes of the SR-IOV network device plugin
// (pkg/resources/pool_stub.go, pkg/infoprovider), so that charts made for it work, and who the ENI is.
import type { ContainerAllocateResponse } from './gen/v1beta1/ContainerAllocateResponse.ts'
import type { CDIDevice } from './gen/v1beta1/CDIDevice.ts'
import type { DeviceSpec } from './gen/v1beta1/DeviceSpec.ts'
import type { OfferedDevice } from './device-lists.ts'
import { cdiDeviceName } from './cdi-spec.ts'
import { deviceNodesOf, nodePermissions, vfioContainerPath, vfioGroupOf, vfioGroupPath } from './device-nodes.ts'
import type { PciCard } from './pci-scan.ts'
import { vpcRouterOf } from './vpc-router.ts'

/** How a container gets its device nodes. */
export interface Injection {
  /** By the name of a CDI device, which the runtime looks up at each start of the container; or by the nodes themselves. */
  readonly by: 'cdi' | 'device-nodes'
  /** The host's /dev. */
  readonly dev: string
}

export function containerAnswer(
  resource: string,
  devices: readonly OfferedDevice[],
  injection: Injection,
): ContainerAllocateResponse {
  const name = environmentName(resource)
  const info = Object.fromEntries(devices.map((device) => [device.card.pciAddress, deviceInfo(device)]))
  return {
    envs: {
      [name]: devices.map(({ card }) => card.pciAddress).join(','),
      [`${name}_INFO`]: JSON.stringify(info),
    },
    ...(injection.by === 'cdi'
      ? { cdiDevices: cdiDevices(resource, devices, injection) }
      : { devices: deviceSpecs(devices, injection) }),
  }
}

/** A device without nodes is in no spec file, and a name that is in none keeps the container from starting. */
function cdiDevices(resource: string, devices: readonly OfferedDevice[], { dev }: Injection): CDIDevice[] {
  const withNodes = devices.filter(({ card }) => deviceNodesOf(card, dev).length > 0)
  return withNodes.map(({ card }) => ({ name: cdiDeviceName(resource, card.pciAddress) }))
}

function deviceSpecs(devices: readonly OfferedDevice[], { dev }: Injection): DeviceSpec[] {
  const nodes = devices.flatMap(({ card }) => deviceNodesOf(card, dev))
  // Devices bound to vfio-pci share the container node.
  const unique = new Map(nodes.map((node) => [node.containerPath, node])).values()
  return Array.from(unique, (node) => ({ ...node, permissions: nodePermissions }))
}

/** PCIDEVICE_INTEL_COM_UPF_DATAPLANE for intel.com/upf_dataplane; "-" stays, as it does upstream. */
export function environmentName(resource: string): string {
  return `PCIDEVICE_${resource.toUpperCase().replaceAll(/[./]/g, '_')}`
}

function deviceInfo({ card, eni, mtu }: OfferedDevice): object {
  return {
    generic: { deviceID: card.pciAddress },
    ...userspaceInfo(card),
    eni: {
      id: eni.eniID,
      mac: eni.mac,
      subnet: eni.subnetID,
      cidr: eni.cidr,
      gateway: vpcRouterOf(eni.cidr),
      addresses: eni.addresses ?? [],
      deviceIndex: eni.deviceIndex,
      networkCard: eni.networkCard,
      mtu,
    },
  }
}

function userspaceInfo(card: PciCard): object {
  const group = vfioGroupOf(card)
  if (group !== undefined) return { vfio: { mount: vfioContainerPath, 'dev-mount': vfioGroupPath(group) } }
  return card.uio === undefined ? {} : { uio: { mount: `/dev/${card.uio}` } }
}
