// The NUMA node that the kubelet is told of a device.
import type { PciCard } from './pci-scan.ts'

/** From the platform; of no device; or of every device this number. */
export type Topology = 'auto' | 'none' | number

/** undefined when the platform names none: a made-up node 0 could make single-numa-node refuse the pod. */
export function numaNodeOf(card: PciCard, topology: Topology): number | undefined {
  if (topology === 'none') return undefined
  return topology === 'auto' ? card.numaNode : topology
}
