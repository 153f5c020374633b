// Finds what a guest boots: in the cache, else made from the packages of the distribution. The kernel that the cache has is the one
// that is used, whatever newer one there is; only without any is apt asked.
import { access, readdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Apt } from '../../cluster/binaries/apt.ts'
import { CacheDirectory, cacheHome } from '../../cluster/binaries/cache-directory.ts'
import { installMissing, required } from '../../cluster/binaries/distribution-tools.ts'
import { busybox } from '../../cluster/binaries/host-tools.ts'
import { type Host, thisHost } from '../../cluster/host.ts'
import { kernelFiles, makeKernel, newestVersion } from './distribution-kernel.ts'
import { buildInitramfs, initramfsId } from './initramfs.ts'
import { buildTools, guestTools, headersOf } from './tools.ts'

const directoryPrefix = 'guest-kernel-'

export interface GuestKernel {
  /** "6.1.0-56-amd64" */
  readonly version: string
  /** Uncompressed ELF image: QEMU boots it by PVH in half the time. */
  readonly image: string
  /** busybox, the modules that the first process needs, and that process. */
  readonly initramfs: string
  /** A directory with lib/modules/<version>: all modules of the distribution, and modules.dep.bin. */
  readonly tree: string
  /** vfio.ko with no-IOMMU mode, which distributions leave out. */
  readonly noIommuVfio: string
}

/** The machine that the guest is to run on. */
export interface GuestHost extends Host {
  /** As Node names it. */
  readonly architecture: string
  readonly cacheDir: string
  /** Where the distribution installs the headers of kernels. */
  readonly headersDir: string
}

/** Throws with the one line that says what is missing and what to do. */
export function obtainGuestKernel(log: (line: string) => void, signal?: AbortSignal): Promise<GuestKernel> {
  const host = {
    ...thisHost(),
    architecture: process.arch,
    cacheDir: cacheHome(process.env),
    headersDir: '/usr/src',
  }
  return obtainGuestKernelOn(host, log, signal)
}

export async function obtainGuestKernelOn(
  host: GuestHost,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<GuestKernel> {
  if (host.architecture !== 'x64') {
    throw new Error(`guest kernel: this machine is ${host.architecture}; guests are x86-64, run this on such a machine`)
  }
  if (/\s/.test(host.cacheDir)) {
    throw new Error(
      `guest kernel: ${host.cacheDir} has a space, which the guest's command line cannot have: set XDG_CACHE_HOME`,
    )
  }
  await installMissing(guestTools, host, log)
  const cache = new CacheDirectory(host.cacheDir)
  const wait = { work: 'obtaining the guest kernel', log, signal }
  const version =
    (await cachedVersion(cache)) ??
    // Another process may have filled the cache while this one waited for the lock.
    (await cache.locked(wait, async () => (await cachedVersion(cache)) ?? (await make(cache, host, log, signal))))
  const directory = path.join(cache.path, `${directoryPrefix}${version}`)
  const initramfs = path.join(directory, `initramfs-${await initramfsId()}`)
  const kernel: GuestKernel = {
    version,
    image: path.join(directory, kernelFiles.image),
    initramfs,
    tree: path.join(directory, kernelFiles.tree),
    noIommuVfio: path.join(directory, kernelFiles.noIommuVfio),
  }
  if (!(await exists(initramfs))) await cache.locked(wait, () => makeInitramfs(kernel, host))
  log(`guest kernel ${version}: in ${directory}`)
  return kernel
}

/** The newest of those that are there. */
async function cachedVersion(cache: CacheDirectory): Promise<string | undefined> {
  const names = await readdir(cache.path).catch(() => [])
  const versions = names
    .filter((name) => name.startsWith(directoryPrefix))
    .map((name) => name.slice(directoryPrefix.length))
  return versions.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))[0]
}

async function make(
  cache: CacheDirectory,
  host: GuestHost,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const apt = await Apt.find(host)
  if (apt === undefined) {
    throw new Error('guest kernel: the cache has none and it comes by apt: run this as root on Debian')
  }
  const startedAt = Date.now()
  await installMissing(buildTools, host, log)
  const version = await newestVersion(apt)
  const headers = headersOf(version, host.headersDir)
  await installMissing([headers], host, log)
  const headersDir = await required(headers, host)
  const final = await cache.fill(`${directoryPrefix}${version}`, (directory) =>
    makeKernel({ version, apt, headersDir }, directory, log, signal),
  )
  log(`guest kernel ${version}: made in ${((Date.now() - startedAt) / 1000).toFixed(0)} s, kept in ${final}`)
  return version
}

/** Two that make it write the same; the rename keeps the half of it from a guest that starts meanwhile. */
async function makeInitramfs({ initramfs, tree, version }: GuestKernel, host: GuestHost): Promise<void> {
  const content = await buildInitramfs(path.join(tree, 'lib/modules', version), await required(busybox, host))
  const unfinished = `${initramfs}.unfinished`
  await writeFile(unfinished, content)
  await rename(unfinished, initramfs)
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}
