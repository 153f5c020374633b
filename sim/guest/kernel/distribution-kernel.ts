// Makes a kernel for guests out of Debian's packages, of which none but the headers is installed: their scripts would write to /boot.
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Apt } from '../../cluster/binaries/apt.ts'
import { runCommand } from '../../cluster/run-command.ts'
import { xzPayload } from './compressed-image.ts'
import { buildNoIommuVfio } from './no-iommu-vfio.ts'
import { stage } from './stage.ts'

/** Has the newest kernel as its dependency. The "cloud" flavour has no e1000e, igb or 9p. */
const kernelPackage = 'linux-image-amd64'
const openTheWay =
  "open the way to apt's package archives, or fill the cache on a machine that has it, and run this again"
const checkTheMachine = 'is there 1 GB of room for the cache? The kernels of Debian 12 are known to work'
const elfMagic = '\u007fELF'

/** The names of the files of one kernel in its directory of the cache. */
export const kernelFiles = { image: 'vmlinux', tree: 'tree', noIommuVfio: 'vfio-noiommu.ko' } as const

/** "6.1.0-56-amd64", as `uname -r` says it. */
export async function newestVersion(apt: Apt): Promise<string> {
  const dependencies = await stage(`looking for the package ${kernelPackage}`, needsDebian(), () =>
    apt.dependencies(kernelPackage),
  )
  const version = imageVersion(dependencies)
  if (version === undefined) throw new Error(`guest kernel: ${kernelPackage} names no kernel: ${needsDebian()}`)
  return version
}

export function imageVersion(dependencies: readonly string[]): string | undefined {
  return dependencies.map((name) => /^linux-image-(\d.*)$/.exec(name)?.[1]).find((version) => version !== undefined)
}

/** The version of linux-source to take: the image's own, else one of the same upstream release; they lag behind each other. */
export function sourceVersion(imagePackageVersion: string, offered: readonly string[]): string | undefined {
  const upstream = (version: string) => version.slice(0, version.lastIndexOf('-'))
  if (offered.includes(imagePackageVersion)) return imagePackageVersion
  return offered.find((version) => upstream(version) === upstream(imagePackageVersion))
}

export interface KernelMaterial {
  readonly version: string
  readonly apt: Apt
  /** Where the headers of `version` are installed. */
  readonly headersDir: string
}

/** Fills `directory` with `kernelFiles`. */
export async function makeKernel(
  { version, apt, headersDir }: KernelMaterial,
  directory: string,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const workDir = path.join(directory, 'work')
  const download = async (name: string): Promise<string> => {
    const target = await emptyDirectory(workDir, name.replace(/=.*/, ''))
    log(`guest kernel ${version}: downloading ${name}`)
    return stage(`downloading ${name}`, openTheWay, () => apt.download(name, target, signal), signal)
  }
  const imagePackage = await download(`linux-image-${version}`)
  const packageVersion = (await runCommand('dpkg-deb', ['--field', imagePackage, 'Version'])).trim()
  await stage(
    'unpacking the kernel',
    checkTheMachine,
    () => unpackKernel(imagePackage, version, directory, signal),
    signal,
  )
  const sourcePackage = await download(await sourceOf(version, packageVersion, apt))
  log(`guest kernel ${version}: building vfio.ko with no-IOMMU mode`)
  const module = path.join(directory, kernelFiles.noIommuVfio)
  const material = { sourcePackage, headersDir, workDir }
  await stage('building vfio.ko', checkTheMachine, () => buildNoIommuVfio(material, module, signal), signal)
  await rm(workDir, { recursive: true })
}

async function sourceOf(version: string, packageVersion: string, apt: Apt): Promise<string> {
  const name = `linux-source-${version.split('.').slice(0, 2).join('.')}`
  const offered = await stage(`looking for the package ${name}`, needsDebian(), () => apt.versions(name))
  const taken = sourceVersion(packageVersion, offered)
  if (taken !== undefined) return `${name}=${taken}`
  throw new Error(
    `guest kernel: there is no ${name} of version ${packageVersion} (only ${offered.join(', ') || 'none'}): ` +
      'run apt-get update and this again',
  )
}

async function unpackKernel(imagePackage: string, version: string, directory: string, signal?: AbortSignal) {
  const unpacked = await emptyDirectory(directory, 'work/image')
  await runCommand('dpkg-deb', ['--extract', imagePackage, unpacked], { signal })
  const compressed = path.join(unpacked, 'vmlinux.xz')
  await writeFile(compressed, xzPayload(await readFile(path.join(unpacked, 'boot', `vmlinuz-${version}`))))
  // Behind the stream is the length of what is in it, which xz is not to read.
  await runCommand('xz', ['--decompress', '--single-stream', compressed], { signal })
  await requireElf(path.join(unpacked, 'vmlinux'))
  await rename(path.join(unpacked, 'vmlinux'), path.join(directory, kernelFiles.image))

  const tree = await emptyDirectory(directory, kernelFiles.tree)
  const modules = path.join('lib/modules', version)
  await mkdir(path.join(tree, 'lib/modules'), { recursive: true })
  // Since Debian 13 the package has /usr/lib alone.
  const found = await rename(path.join(unpacked, modules), path.join(tree, modules)).catch(() => 'elsewhere')
  if (found === 'elsewhere') await rename(path.join(unpacked, 'usr', modules), path.join(tree, modules))
  await runCommand('depmod', ['-b', tree, version], { signal })
}

async function requireElf(file: string): Promise<void> {
  await using handle = await open(file)
  const { buffer } = await handle.read(Buffer.alloc(elfMagic.length), 0, elfMagic.length, 0)
  if (buffer.toString('latin1') !== elfMagic) throw new Error('what is compressed in the kernel is no ELF image')
}

async function emptyDirectory(parent: string, name: string): Promise<string> {
  const directory = path.join(parent, name)
  await mkdir(directory, { recursive: true })
  return directory
}

function needsDebian(): string {
  return 'a guest needs Debian on x86-64 (12 is tried) with its main archive in the sources of apt and in reach'
}
