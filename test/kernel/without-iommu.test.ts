// Nodes without an IOMMU on a real kernel, as Nitro's virtual machines are: one whose vfio can do without, and one with the vfio of the
// distributions, which cannot.
import { guestNode, nitro, nitroWithoutNoIommu } from './guests.ts'
import { interfaces } from './chapters/interfaces.ts'
import { noIommuMode } from './chapters/no-iommu-mode.ts'
import { noVfio } from './chapters/no-vfio.ts'
import { onGuests } from './stage.ts'

const able = guestNode('able', nitro, { ng: 'multi-eni', pool: 'user-plane' })
const unable = guestNode('unable', { ...nitroWithoutNoIommu, hugepages: 0, memoryMiB: 1024 }, { pool: 'user-plane' })

onGuests('nodes without an IOMMU', [able, unable], {
  'a vfio with a mode for that': noIommuMode,
  'a vfio without one': noVfio,
  'ENIs without DPDK': interfaces,
})
