// The two kinds of machine that a guest can be, as QEMU's command line.
import type { GuestKernel } from './kernel/obtain.ts'

export interface GuestMachine {
  /**
   * `iommu`: each ENI behind a PCIe port of its own and in an IOMMU group of its own, as on bare metal instances. `flat`: one PCI bus
   * without an IOMMU, as on Nitro's virtual ones, where the first ENI is at 0000:00:06.0.
   */
  readonly bus: 'iommu' | 'flat'
  /** The distribution's, which refuses cards without an IOMMU; or built with no-IOMMU mode and that switched on. */
  readonly vfio: 'distribution' | 'no-iommu'
  /** Of 2 MiB each. */
  readonly hugepages: number
  readonly memoryMiB: number
}

/** QEMU's name of the card that is there from the start. */
export const primaryCard = 'primary-card'
/** ENIs beside the primary one, whatever the instance type. */
export const cardPlaces = 14
/** Where Nitro puts the primary; the other ENIs come behind it. */
const primarySlot = 5
/** Slots behind those of ENIs. */
const ownSlots = { root: 0x1b, node: 0x1c, disk: 0x1d, random: 0x1e }
const firstPort = 0x10

export interface MachineParts {
  readonly name: string
  readonly directory: string
  readonly address: string
  readonly ports: readonly number[]
  readonly loopback: string
  readonly primaryMac: string
  readonly kernel: GuestKernel
  readonly agentPort: number
  readonly disk: string
  readonly qmpSocket: string
  readonly serialLog: string
}

/** QEMU's name of the place of a card: a port of its own or a slot of the one bus. `index` from 0. */
export function cardPlace({ bus }: GuestMachine, index: number): { readonly bus: string; readonly addr: string } {
  if (bus === 'iommu') return { bus: portName(index), addr: slotText(0) }
  return { bus: 'pci.0', addr: slotText(primarySlot + 1 + index) }
}

export function machineArguments(machine: GuestMachine, parts: MachineParts): string[] {
  const { kernel } = parts
  const forward = [
    ...parts.ports.map((port) => `hostfwd=tcp:${parts.address}:${port}-:${port}`),
    `hostfwd=tcp:${parts.loopback}:${parts.agentPort}-:${parts.agentPort}`,
  ]
  return [
    '-no-user-config',
    '-nodefaults',
    ...option('name', parts.name),
    ...option('display', 'none'),
    ...option('accel', 'tcg,thread=multi'),
    // All that the programs of a distribution want, and a third faster to emulate than one with AVX.
    ...option('cpu', 'Nehalem'),
    ...option('smp', '2'),
    ...option('m', String(machine.memoryMiB)),
    ...busArguments(machine),
    // What an earlier start has written stays.
    ...option('chardev', 'file', 'id=console', `path=${parts.serialLog}`, 'append=on'),
    ...option('serial', 'chardev:console'),
    ...option('qmp', `unix:${parts.qmpSocket},server=on,wait=off`),
    ...option('netdev', 'user', 'id=primary', 'ipv6=off', ...forward),
    ...device(
      'virtio-net-pci',
      `id=${primaryCard}`,
      'netdev=primary',
      `mac=${parts.primaryMac}`,
      'romfile=',
      `addr=${slotText(primarySlot)}`,
    ),
    ...share('hostroot', '/', ownSlots.root, 'readonly=on'),
    ...share('node', parts.directory, ownSlots.node),
    ...option('drive', 'if=none', 'id=disk', `file=${parts.disk}`, 'format=raw', 'cache=unsafe'),
    ...device('virtio-blk-pci', 'drive=disk', `addr=${slotText(ownSlots.disk)}`),
    ...device('virtio-rng-pci', `addr=${slotText(ownSlots.random)}`),
    ...option('kernel', kernel.image),
    ...option('initrd', kernel.initramfs),
    ...option('append', kernelArguments(machine, parts).join(' ')),
  ]
}

function busArguments({ bus }: GuestMachine): string[] {
  if (bus === 'flat') return option('machine', 'pc')
  const ports = Array.from({ length: cardPlaces }, (_, index) => {
    const [slot, function_] = [firstPort + (index >> 3), index & 7]
    const place = `addr=${slotText(slot)}.${function_}${function_ === 0 ? ',multifunction=on' : ''}`
    return device(
      'pcie-root-port',
      `id=${portName(index)}`,
      'bus=pcie.0',
      `chassis=${index + 1}`,
      `slot=${index + 1}`,
      place,
    )
  })
  const iommu = device('intel-iommu', 'intremap=on', 'caching-mode=on', 'aw-bits=48')
  return [...option('machine', 'q35', 'kernel-irqchip=split'), ...iommu, ...ports.flat()]
}

function kernelArguments({ bus, hugepages }: GuestMachine, { directory, kernel }: MachineParts): string[] {
  return [
    'console=ttyS0',
    'quiet',
    'loglevel=4',
    'panic=-1',
    'mitigations=off',
    // Each timer of a program would be one of the emulated processor's, which takes it half a millisecond.
    'highres=off',
    ...(bus === 'iommu' ? ['intel_iommu=on', 'iommu=nopt'] : []),
    ...(hugepages > 0 ? [`hugepages=${hugepages}`] : []),
    `node.dir=${directory}`,
    `node.tree=${kernel.tree}`,
  ]
}

/** A directory of this machine, by 9p. The guest sees several file systems of the machine as one. */
function share(tag: string, directory: string, slot: number, ...options: readonly string[]): string[] {
  const fsdev = ['local', `id=${tag}`, `path=${directory}`, 'security_model=none', 'multidevs=remap', ...options]
  const card = device('virtio-9p-pci', `fsdev=${tag}`, `mount_tag=${tag}`, `addr=${slotText(slot)}`)
  return [...option('fsdev', ...fsdev), ...card]
}

function device(...parts: readonly string[]): string[] {
  return option('device', ...parts)
}

function option(name: string, ...parts: readonly string[]): string[] {
  return [`-${name}`, parts.join()]
}

/** QEMU reads it as hexadecimal. */
function slotText(slot: number): string {
  return slot.toString(16)
}

function portName(index: number): string {
  return `port${index}`
}
