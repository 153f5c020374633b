// Which of the free devices the kubelet should take (GetPreferredAllocation): a hint, which it follows as far as it can
// (devicesToAllocate, pkg/kubelet/cm/devicemanager/manager.go).

export interface PreferableDevice {
  readonly id: string
  /** A pod that is on its way was promised one of this resource on its strength; the others stay idle for the next, or for release. */
  readonly isClaimed: boolean
  readonly numaNode: number | undefined
}

export interface AllocationWish {
  readonly available: readonly string[]
  /** Some of the available, not more than the size. */
  readonly mustInclude: readonly string[]
  readonly size: number
}

/**
 * As many as asked for, of the available: those that must be, then claimed ones, then others; each time from as few NUMA nodes as
 * possible, nodes that are in already first. Of a device that is not known nothing is preferred.
 */
export function preferredAllocation(wish: AllocationWish, known: ReadonlyMap<string, PreferableDevice>): string[] {
  const devices = [...new Set(wish.available)].toSorted().map((id) => known.get(id) ?? unknown(id))
  const must = new Set(wish.mustInclude)
  const chosen = devices.filter(({ id }) => must.has(id))
  for (const isClaimed of [true, false]) {
    const candidates = devices.filter((device) => device.isClaimed === isClaimed && !must.has(device.id))
    pack(candidates, wish.size, chosen)
  }
  return chosen.slice(0, wish.size).map(({ id }) => id)
}

/** Adds candidates, node by node, until there are `size`. */
function pack(candidates: readonly PreferableDevice[], size: number, chosen: PreferableDevice[]): void {
  const groups = Map.groupBy(candidates, ({ numaNode }) => numaNode)
  while (chosen.length < size) {
    const node = nextNode(groups, size - chosen.length, new Set(chosen.map(({ numaNode }) => numaNode)))
    const group = groups.get(node)
    if (group === undefined) return
    chosen.push(...group.slice(0, size - chosen.length))
    groups.delete(node)
  }
}

/** One that is in already; else the smallest group that is enough, which leaves the large ones whole; else the largest. */
function nextNode(
  groups: ReadonlyMap<number | undefined, readonly PreferableDevice[]>,
  needed: number,
  used: ReadonlySet<number | undefined>,
): number | undefined {
  const sizes = Array.from(groups, ([node, { length }]) => ({ node, length })).toSorted(bySizeThenNode)
  const inUse = sizes.filter(({ node }) => used.has(node))
  return (inUse.at(-1) ?? sizes.find(({ length }) => length >= needed) ?? sizes.at(-1))?.node
}

interface GroupSize {
  readonly node: number | undefined
  readonly length: number
}

function bySizeThenNode(one: GroupSize, other: GroupSize): number {
  return one.length - other.length || (one.node ?? -1) - (other.node ?? -1)
}

function unknown(id: string): PreferableDevice {
  return { id, isClaimed: false, numaNode: undefined }
}
