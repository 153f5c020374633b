// The network cards on the PCI bus as sysfs shows them now. Only links, directories and plain attributes are read: reading
// driver_override takes the device lock and blocks for ever behind a stuck unbind (seen on Linux 6.1).
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { basename } from 'node:path'

export interface PciCard {
  /** 0000:00:06.0; the device ID that the kubelet knows. */
  readonly pciAddress: string
  /** Inode of its sysfs directory: another one when a card was plugged anew at the same address. */
  readonly inode: string
  /** Vendor and device as lspci -n writes them: "1d0f:ec20". */
  readonly deviceID: string
  readonly driver: string | undefined
  /**
   * A process has the card open. vfio-pci enables a card only while one has (vfio_pci_core_enable), so its count tells; of any other
   * driver it tells nothing. An unbind that waits for that process has taken the driver's link away already (__device_release_driver),
   * and the count is there still.
   */
  readonly isOpen: boolean
  /** Empty while a userspace driver has the card, or when its interface is in another network namespace. */
  readonly interfaces: readonly NetworkInterface[]
  readonly iommuGroup: IommuGroup | undefined
  /** The other functions of its IOMMU group, without bridges: who opens the group has them all. */
  readonly groupMates: readonly GroupMate[]
  /** vfio-pci has the card, and the device node of its group is seen to be missing. */
  readonly isNodeMissing: boolean
  /** uio0, while igb_uio has the card. */
  readonly uio: string | undefined
  /** undefined when the platform names none (-1 on most virtual machines). */
  readonly numaNode: number | undefined
}

export interface NetworkInterface {
  /** udev renames it 50 to 100 ms after it appears, so it is good for this scan only. */
  readonly name: string
  /** It is called as the kernel counts its interfaces (eth1), so that udev may yet rename it. */
  readonly hasKernelName?: true
  /** Lower case. */
  readonly mac: string
  /** Bond, bridge or VRF that it belongs to. */
  readonly master?: string
}

export interface IommuGroup {
  readonly number: string
  /** Without an IOMMU each bind makes a group, named vfio-noiommu, and its device node is noiommu-N. */
  readonly noIommu: boolean
}

export interface GroupMate {
  readonly pciAddress: string
  readonly driver: string | undefined
}

/** Its device node is /dev/vfio/<name> (drivers/vfio/group.c, vfio_create_group). */
export function groupNodeName({ number, noIommu }: IommuGroup): string {
  return noIommu ? `noiommu-${number}` : number
}

/** PCI base class 02: network controller (pci.ids). */
const networkClass = '0x02'
/** PCI bridges: they do no DMA of their own. */
const bridgeClass = '0x0604'

interface FixedFacts {
  readonly inode: string
  readonly isNetwork: boolean
  readonly deviceID: string
  readonly numaNode: number | undefined
}

export class PciScanner {
  readonly #devices: string
  /** Directories in which the kernel shows a group's device node; the second only where the host's /dev is mounted. */
  readonly #groupNodes: readonly string[]
  /** What cannot change while the directory has the same inode; a machine can have hundreds of other PCI functions. */
  readonly #fixed = new Map<string, FixedFacts>()

  constructor(sys: string, dev: string) {
    this.#devices = `${sys}/bus/pci/devices`
    this.#groupNodes = [`${sys}/class/vfio`, `${dev}/vfio`]
  }

  /** A card that vanishes while it is read is left out. */
  scan(): readonly PciCard[] {
    const addresses = readdirSync(this.#devices)
    const present = new Set(addresses)
    for (const known of this.#fixed.keys()) if (!present.has(known)) this.#fixed.delete(known)
    return addresses.map((address) => ifThere(() => this.#card(address))).filter((card) => card !== undefined)
  }

  #card(pciAddress: string): PciCard | undefined {
    const directory = `${this.#devices}/${pciAddress}`
    const { isNetwork, ...fixed } = this.#fixedFacts(pciAddress, directory)
    if (!isNetwork) return undefined
    const driver = linkTarget(`${directory}/driver`)
    const iommuGroup = iommuGroupOf(directory)
    return {
      pciAddress,
      ...fixed,
      driver,
      isOpen: (driver === 'vfio-pci' || driver === undefined) && isEnabled(directory),
      interfaces: interfacesOf(directory),
      iommuGroup,
      groupMates: iommuGroup === undefined ? [] : this.#groupMates(pciAddress, directory),
      isNodeMissing: driver === 'vfio-pci' && iommuGroup !== undefined && this.#isNodeMissing(iommuGroup),
      uio: driver === 'igb_uio' ? namesIn(`${directory}/uio`).find((name) => name.startsWith('uio')) : undefined,
    }
  }

  #groupMates(pciAddress: string, directory: string): readonly GroupMate[] {
    return namesIn(`${directory}/iommu_group/devices`)
      .filter((name) => name !== pciAddress && !this.#isBridge(name))
      .map((name) => ({ pciAddress: name, driver: linkTarget(`${this.#devices}/${name}/driver`) }))
  }

  #isBridge(pciAddress: string): boolean {
    return ifThere(() => readLine(`${this.#devices}/${pciAddress}/class`))?.startsWith(bridgeClass) === true
  }

  #isNodeMissing(group: IommuGroup): boolean {
    const name = groupNodeName(group)
    return this.#groupNodes.some((nodes) => existsSync(nodes) && !existsSync(`${nodes}/${name}`))
  }

  #fixedFacts(pciAddress: string, directory: string): FixedFacts {
    const inode = String(statSync(directory, { bigint: true }).ino)
    const known = this.#fixed.get(pciAddress)
    if (known?.inode === inode) return known
    const numaNode = Number.parseInt(ifThere(() => readLine(`${directory}/numa_node`)) ?? '-1', 10)
    const facts = {
      inode,
      isNetwork: readLine(`${directory}/class`).startsWith(networkClass),
      deviceID: `${hexOf(`${directory}/vendor`)}:${hexOf(`${directory}/device`)}`,
      numaNode: numaNode >= 0 ? numaNode : undefined,
    }
    this.#fixed.set(pciAddress, facts)
    return facts
  }
}

function interfacesOf(directory: string): readonly NetworkInterface[] {
  return namesIn(`${directory}/net`).flatMap((name) => {
    const mac = ifThere(() => readLine(`${directory}/net/${name}/address`).toLowerCase())
    if (mac === undefined) return []
    const master = linkTarget(`${directory}/net/${name}/master`)
    const hasKernelName = isNamedByKernel(name, `${directory}/net/${name}`)
    return [{ name, mac, ...(hasKernelName && { hasKernelName }), ...(master !== undefined && { master }) }]
  })
}

/** NET_NAME_ENUM (include/uapi/linux/netdevice.h). */
const netNameEnum = '1'

/**
 * EINVAL of one whose driver has not said (name_assign_type_show in net/core/net-sysfs.c), which is any card before Linux 5.19
 * (alloc_etherdev_mqs in net/ethernet/eth.c): then it is called eth1 as long as nobody has renamed it.
 */
function isNamedByKernel(name: string, directory: string): boolean {
  const type = ifThere(() => readLine(`${directory}/name_assign_type`))
  return type === undefined ? /^eth\d+$/.test(name) : type === netNameEnum
}

function iommuGroupOf(directory: string): IommuGroup | undefined {
  const number = linkTarget(`${directory}/iommu_group`)
  if (number === undefined) return undefined
  // Groups of a real IOMMU have no name file.
  const name = ifThere(() => readLine(`${directory}/iommu_group/name`))
  return { number, noIommu: name === 'vfio-noiommu' }
}

/** Read without any lock (enable_show in drivers/pci/pci-sysfs.c). */
function isEnabled(directory: string): boolean {
  return Number.parseInt(ifThere(() => readLine(`${directory}/enable`)) ?? '0', 10) > 0
}

/** "0x1d0f" as "1d0f". */
function hexOf(path: string): string {
  return readLine(path).replace(/^0x/, '').toLowerCase()
}

function linkTarget(path: string): string | undefined {
  return ifThere(() => basename(readlinkSync(path)))
}

function namesIn(directory: string): readonly string[] {
  return ifThere(() => readdirSync(directory)) ?? []
}

function readLine(path: string): string {
  return readFileSync(path, 'utf8').trim()
}

/**
 * Anything in sysfs can vanish between two calls: ENOENT, ENODEV from an attribute that was open already, EINVAL from the
 * address of an interface that is being unregistered (dev_isalive in net/core/net-sysfs.c). Anything else, such as EACCES, is
 * no card that has gone but a scan that cannot be trusted.
 */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== undefined && ['ENOENT', 'ENODEV', 'EINVAL'].includes(code)) return undefined
    throw error
  }
}
