// Rebuilds vfio.ko with the mode for machines without an IOMMU, such as most EC2 instances: distributions leave it out of theirs.
import { mkdir, readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from '../../cluster/run-command.ts'

const sources = ['*/drivers/vfio/*.[ch]', '*/drivers/vfio/Makefile']
/** linux-source-6.1/drivers/vfio */
const foldersAbove = 3

/**
 * `sourcePackage` is a Debian package linux-source-<version>, `headersDir` has the configuration and the symbol versions of the very
 * kernel. The other modules of VFIO stay the distribution's: none of them asks for the mode.
 */
export async function buildNoIommuVfio(
  { sourcePackage, headersDir, workDir }: { sourcePackage: string; headersDir: string; workDir: string },
  module: string,
  signal?: AbortSignal,
): Promise<void> {
  const unpacked = path.join(workDir, 'source-package')
  const vfio = path.join(workDir, 'vfio')
  await mkdir(vfio, { recursive: true })
  await runCommand('dpkg-deb', ['--extract', sourcePackage, unpacked], { signal })
  const archive = await sourceArchive(path.join(unpacked, 'usr/src'))
  const stripped = `--strip-components=${foldersAbove}`
  await runCommand('tar', ['-xJf', archive, '-C', vfio, stripped, '--wildcards', ...sources], { signal })
  const option = 'KCFLAGS=-DCONFIG_VFIO_NOIOMMU=1'
  // A make that runs this project is none of its business.
  const { MAKEFLAGS: _flags, MFLAGS: _moreFlags, MAKELEVEL: _level, ...env } = process.env
  await runCommand('make', ['-s', '-C', headersDir, `M=${vfio}`, option, 'vfio.ko'], { env, signal })
  await rename(path.join(vfio, 'vfio.ko'), module)
}

async function sourceArchive(directory: string): Promise<string> {
  const archive = (await readdir(directory)).find((name) => /^linux-source-.*\.tar\.xz$/.test(name))
  if (archive === undefined) throw new Error('the package has no archive of the source')
  return path.join(directory, archive)
}
