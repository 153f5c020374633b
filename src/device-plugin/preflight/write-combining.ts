// Whether a card's memory is mapped write-combining, without which the low-latency queues of ENA are slow. Vfio does so only with
// Amazon's patch, and the kernel tells only while a process has the card mapped (memtype_seq_show, arch/x86/mm/pat/memtype.c).
import { type Finding, good, note } from './finding.ts'
import { textOf } from './host-files.ts'

export interface WriteCombiningPlaces {
  readonly sys: string
}

/** IORESOURCE_PREFETCH (include/linux/ioport.h): of an ENA card the region of the low-latency queues. */
const prefetchFlag = 0x2000n

export function writeCombining({ sys }: WriteCombiningPlaces, addresses: readonly string[]): readonly Finding[] {
  const what = 'write combining'
  const advice = 'without it ENA is slow with DPDK from the 6th generation on: get-vfio-with-wc.sh of amzn-drivers'
  const list = textOf(`${sys}/kernel/debug/x86/pat_memtype_list`)
  if (list === undefined) return [note(what, 'debugfs is not to be read from here', advice), ...igbUio(sys)]
  const mapped = parseMemoryTypes(list)
  const told = addresses.flatMap((address) => {
    const types = typesOf(textOf(`${sys}/bus/pci/devices/${address}/resource`) ?? '', mapped)
    if (types.length === 0) return []
    return types.includes('write-combining')
      ? [good(`${what} of ${address}`, 'on')]
      : [note(`${what} of ${address}`, `off (${types.join(', ')})`, advice)]
  })
  const none = note(what, 'no card is mapped now: it shows only while DPDK runs')
  return [...(told.length === 0 ? [none] : told), ...igbUio(sys)]
}

function igbUio(sys: string): readonly Finding[] {
  const parameter = textOf(`${sys}/module/igb_uio/parameters/wc_activate`)
  if (parameter === undefined) return []
  return parameter === '1'
    ? [good('igb_uio wc_activate', 'on')]
    : [note('igb_uio wc_activate', 'off', 'load igb_uio with wc_activate=1')]
}

interface MappedRange {
  readonly from: bigint
  readonly to: bigint
  readonly type: string
}

/** "PAT: [mem 0x000000fd000000-0x000000fd200000] write-combining"; before Linux 5.8 "write-combining @ 0xfd000000-0xfd200000". */
function parseMemoryTypes(list: string): readonly MappedRange[] {
  return list.split('\n').flatMap((line) => {
    const now = /\[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\] (\S+)/.exec(line)
    const before = /^(\S+) @ (0x[0-9a-f]+)-(0x[0-9a-f]+)/.exec(line)
    const [from, to, type] = now?.slice(1) ?? [before?.[2], before?.[3], before?.[1]]
    return from === undefined || to === undefined || type === undefined
      ? []
      : [{ from: BigInt(from), to: BigInt(to), type }]
  })
}

/** Lines of start, end and flags (Documentation/PCI/sysfs-pci.rst). */
function typesOf(resource: string, mapped: readonly MappedRange[]): readonly string[] {
  const types = resource.split('\n').flatMap((line) => {
    const [start = 0n, end = 0n, flags = 0n] = line.split(' ').filter(Boolean).map(BigInt)
    if ((flags & prefetchFlag) === 0n) return []
    return mapped.filter(({ from, to }) => from <= end && to > start).map(({ type }) => type)
  })
  return [...new Set(types)]
}
