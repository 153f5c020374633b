// Whether some process has a card open: an unbind would then wait for it, for ever if it never ends. The card's enable count is
// read again just before the unbind (sysfs-writer.ts); what this adds is which process, and cards of igb_uio, whose count says
// nothing. Seen on Linux 6.1 behind an IOMMU: under vfio-pci the count is 0, also while a process has only the group open, for which
// an unbind does not wait; it is 1 while one has the device, and stays so while an unbind waits for that. In a pod without hostPID
// /proc shows only the plugin's own processes: then no sign is found here, and none is missed that the kubelet or the enable count
// does not give.
import { readdir, readlink } from 'node:fs/promises'

import type { PciCard } from './pci-scan.ts'

export class SignsOfUse {
  readonly #proc: string

  constructor(proc: string) {
    this.#proc = proc
  }

  /** "process 4711 has /dev/vfio/3"; undefined when no process is seen with it. */
  async of(card: PciCard): Promise<string | undefined> {
    const nodes = deviceNodesOf(card)
    if (nodes.size === 0) return undefined
    for (const pid of await namesIn(this.#proc)) {
      if (!/^[0-9]+$/.test(pid)) continue
      const node = await this.#openedBy(pid, nodes)
      if (node !== undefined) return `process ${pid} has ${node}`
    }
    return undefined
  }

  async #openedBy(pid: string, nodes: ReadonlySet<string>): Promise<string | undefined> {
    for (const fd of await namesIn(`${this.#proc}/${pid}/fd`)) {
      const target = await readlink(`${this.#proc}/${pid}/fd/${fd}`).catch(() => undefined)
      if (target !== undefined && nodes.has(target)) return target
    }
    return undefined
  }
}

/** As a container sees them too: a no-IOMMU group has its plain name there (allocation.ts). */
function deviceNodesOf({ driver, iommuGroup, uio }: PciCard): ReadonlySet<string> {
  if (uio !== undefined) return new Set([`/dev/${uio}`])
  if (driver !== 'vfio-pci' || iommuGroup === undefined) return new Set()
  return new Set([`/dev/vfio/${iommuGroup.number}`, `/dev/vfio/noiommu-${iommuGroup.number}`])
}

/** Processes come and go, and those of other users may not be looked at: neither is a sign. */
async function namesIn(directory: string): Promise<readonly string[]> {
  return readdir(directory).catch(() => [])
}
