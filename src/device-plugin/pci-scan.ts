// The network cards on the PCI bus as sysfs shows them now. Only links, directories and plain attributes are read: reading
// driver_override takes the device lock and blocks for ever behind a stuck unbind (seen on Linux 6.1).
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { basename } from 'node:path'

export interface PciCard {
  /** 0000:00:06.0; the device ID that the kubelet knows. */
  readonly pciAddress: string
  /** Inode of its sysfs directory: another one when a card was plugged anew at the same address. */
  readonly inode: string
  readonly driver: string | undefined
  /** Empty while a userspace driver has the card, or when its interface is in another network namespace. */
  readonly interfaces: readonly NetworkInterface[]
  readonly iommuGroup: IommuGroup | undefined
  /** uio0, while igb_uio has the card. */
  readonly uio: string | undefined
  /** undefined when the platform names none (-1 on most virtual machines). */
  readonly numaNode: number | undefined
}

export interface NetworkInterface {
  /** udev renames it 50 to 100 ms after it appears, so it is good for this scan only. */
  readonly name: string
  /** Lower case. */
  readonly mac: string
}

export interface IommuGroup {
  readonly number: string
  /** Without an IOMMU each bind makes a group, named vfio-noiommu, and its device node is noiommu-N. */
  readonly noIommu: boolean
}

/** PCI base class 02: network controller (pci.ids). */
const networkClass = '0x02'

interface FixedFacts {
  readonly inode: string
  readonly isNetwork: boolean
  readonly numaNode: number | undefined
}

export class PciScanner {
  readonly #devices: string
  /** What cannot change while the directory has the same inode; a machine can have hundreds of other PCI functions. */
  readonly #fixed = new Map<string, FixedFacts>()

  constructor(sys: string) {
    this.#devices = `${sys}/bus/pci/devices`
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
    return {
      pciAddress,
      ...fixed,
      driver,
      interfaces: interfacesOf(directory),
      iommuGroup: iommuGroupOf(directory),
      uio: driver === 'igb_uio' ? namesIn(`${directory}/uio`).find((name) => name.startsWith('uio')) : undefined,
    }
  }

  #fixedFacts(pciAddress: string, directory: string): FixedFacts {
    const inode = String(statSync(directory, { bigint: true }).ino)
    const known = this.#fixed.get(pciAddress)
    if (known?.inode === inode) return known
    const numaNode = Number.parseInt(ifThere(() => readLine(`${directory}/numa_node`)) ?? '-1', 10)
    const facts = {
      inode,
      isNetwork: readLine(`${directory}/class`).startsWith(networkClass),
      numaNode: numaNode >= 0 ? numaNode : undefined,
    }
    this.#fixed.set(pciAddress, facts)
    return facts
  }
}

function interfacesOf(directory: string): readonly NetworkInterface[] {
  return namesIn(`${directory}/net`).flatMap((name) => {
    const mac = ifThere(() => readLine(`${directory}/net/${name}/address`).toLowerCase())
    return mac === undefined ? [] : [{ name, mac }]
  })
}

function iommuGroupOf(directory: string): IommuGroup | undefined {
  const number = linkTarget(`${directory}/iommu_group`)
  if (number === undefined) return undefined
  // Groups of a real IOMMU have no name file.
  const name = ifThere(() => readLine(`${directory}/iommu_group/name`))
  return { number, noIommu: name === 'vfio-noiommu' }
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
