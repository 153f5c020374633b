// What the kernel has for userspace drivers: modules, an IOMMU or the mode without one, hugepages. Every file may be missing or
// unreadable, on another kernel or in a container without it, and then the finding says what that means.
import { existsSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

import { noIommuAdvice, noIommuMode } from '../no-iommu-mode.ts'
import { bad, type Finding, good, note } from './finding.ts'
import { bytesOf, namesIn, textOf } from './host-files.ts'

export interface KernelPlaces {
  readonly sys: string
  readonly proc: string
  /** /lib/modules and /boot of the host, where they can be seen. */
  readonly libModules: string
  readonly boot: string
  /** As uname -r. */
  readonly release: string
}

export interface KernelReport {
  readonly findings: readonly Finding[]
  /** undefined: not to be told from here. */
  readonly canBindVfio: boolean | undefined
}

export function kernelReport(places: KernelPlaces): KernelReport {
  const vfio = moduleState(places, 'vfio-pci')
  const uio = moduleState(places, 'igb_uio')
  const canDoWithout = uio === 'loaded'
  const memory = memoryProtection(places, vfio === 'loaded', canDoWithout)
  return {
    findings: [vfioFinding(vfio, canDoWithout), uioFinding(uio), memory.finding, ...hugepages(places.sys)],
    canBindVfio: vfio === 'loaded' ? memory.isGood : vfio === 'missing' ? false : undefined,
  }
}

type ModuleState = 'loaded' | 'loadable' | 'missing' | 'unknown'

/** A driver that is built in is there like one that is loaded. */
function moduleState({ sys, libModules, release }: KernelPlaces, driver: string): ModuleState {
  if (existsSync(`${sys}/bus/pci/drivers/${driver}`)) return 'loaded'
  const modules = textOf(`${libModules}/${release}/modules.dep`)
  if (modules === undefined) return 'unknown'
  // The files of modules are named with "-" or "_" as their makers liked; modprobe takes both.
  const file = new RegExp(`(^|/)${driver.replace(/[-_]/g, '[-_]')}\\.ko`, 'm')
  return file.test(modules) ? 'loadable' : 'missing'
}

const loadAdvice = 'modprobe vfio-pci, and a file in /etc/modules-load.d for the next boot'

function vfioFinding(state: ModuleState, canDoWithout: boolean): Finding {
  const what = 'vfio-pci'
  const verdict = canDoWithout ? note : bad
  switch (state) {
    case 'loaded':
      return good(what, 'loaded')
    case 'loadable':
      return verdict(what, 'not loaded; the kernel has the module', loadAdvice)
    case 'missing':
      return verdict(what, 'the kernel has no such module', 'use a kernel with CONFIG_VFIO_PCI; enableDPDK needs it')
    case 'unknown':
      return verdict(what, 'not loaded', loadAdvice)
  }
}

function uioFinding(state: ModuleState): Finding {
  const what = 'igb_uio'
  if (state === 'loaded') return good(what, 'loaded')
  return note(what, 'not loaded; needed only where a NodeENI says dpdkDriver: igb_uio')
}

function memoryProtection(
  places: KernelPlaces,
  isVfioLoaded: boolean,
  canDoWithout: boolean,
): { readonly finding: Finding; readonly isGood: boolean | undefined } {
  const what = 'IOMMU'
  const { sys } = places
  const units = namesIn(`${sys}/class/iommu`)
  if (units.length > 0) return { finding: good(what, units.join(', ')), isGood: true }
  const refuse = canDoWithout ? note : bad
  const mode = noIommuMode(sys)
  if (mode === 'on') {
    const finding = good(what, 'none; the mode without IOMMU is on (pods need CAP_SYS_RAWIO, and DPDK CAP_SYS_ADMIN)')
    return { finding, isGood: true }
  }
  if (mode === 'off') {
    return { finding: refuse(what, 'none, and the mode without IOMMU is off', noIommuAdvice.off), isGood: false }
  }
  const can = isVfioLoaded ? false : hasNoIommuOption(places)
  if (can === true) {
    const found = 'none; the kernel can do without (CONFIG_VFIO_NOIOMMU), once vfio is loaded'
    return { finding: refuse(what, found, 'modprobe vfio enable_unsafe_noiommu_mode=1'), isGood: undefined }
  }
  if (can === undefined) {
    const found = 'none; whether the kernel can do without is not to be seen before vfio is loaded'
    return { finding: refuse(what, found, 'load vfio, then check again'), isGood: undefined }
  }
  const found = 'none, and the kernel is built without CONFIG_VFIO_NOIOMMU'
  return { finding: refuse(what, found, noIommuAdvice.absent), isGood: false }
}

/** undefined when the kernel's configuration cannot be read. */
function hasNoIommuOption({ proc, boot, release }: KernelPlaces): boolean | undefined {
  const packed = bytesOf(`${proc}/config.gz`)
  const config = packed === undefined ? textOf(`${boot}/config-${release}`) : gunzipSync(packed).toString('utf8')
  return config === undefined ? undefined : /^CONFIG_VFIO_NOIOMMU=y$/m.test(config)
}

/** Directories hugepages-2048kB, one for each size (Documentation/admin-guide/mm/hugetlbpage.rst). */
function hugepages(sys: string): readonly Finding[] {
  const directory = `${sys}/kernel/mm/hugepages`
  const sizes = namesIn(directory).flatMap((name) => {
    const sizeKB = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1])
    const [total, free] = ['nr_hugepages', 'free_hugepages'].map((file) =>
      Number(textOf(`${directory}/${name}/${file}`)),
    )
    return Number.isNaN(sizeKB) ? [] : [{ sizeKB, total: total ?? 0, free: free ?? 0 }]
  })
  if (sizes.length === 0) return [note('hugepages', 'not to be seen from here')]
  const has = sizes.some(({ total }) => total > 0)
  return sizes
    .toSorted((a, b) => a.sizeKB - b.sizeKB)
    .map(({ sizeKB, total, free }) => {
      const what = `hugepages of ${sizeKB >= 1024 ** 2 ? `${sizeKB / 1024 ** 2} GB` : `${sizeKB / 1024} MB`}`
      const found = `${free} free of ${total}`
      return has ? good(what, found) : note(what, found, 'DPDK needs hugepages: reserve them at boot')
    })
}
