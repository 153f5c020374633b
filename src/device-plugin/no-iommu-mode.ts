// vfio takes a card that no IOMMU covers in its no-IOMMU mode only. Most distributions build their kernels without it
// (CONFIG_VFIO_NOIOMMU), and where it is, it is off until somebody switches it on.
import { existsSync, readFileSync } from 'node:fs'

export type NoIommuMode = 'on' | 'off' | 'absent'

/** Of the vfio that is loaded. */
export function noIommuMode(sys: string): NoIommuMode {
  const parameter = `${sys}/module/vfio/parameters/enable_unsafe_noiommu_mode`
  if (!existsSync(parameter)) return 'absent'
  return /^[Yy1]/.test(readFileSync(parameter, 'utf8')) ? 'on' : 'off'
}

/** What to do about a node without an IOMMU. */
export const noIommuAdvice = {
  off: 'echo 1 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode, and options vfio enable_unsafe_noiommu_mode=1 in /etc/modprobe.d for the next boot',
  absent:
    'use an instance with an IOMMU (metal), a kernel with CONFIG_VFIO_NOIOMMU=y and enable_unsafe_noiommu_mode=1, or igb_uio (dpdkDriver of the NodeENI)',
} as const
