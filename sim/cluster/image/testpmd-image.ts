// The image of a pod that moves packets with DPDK: dpdk-testpmd of this machine with the drivers that a test needs, and busybox as shell.
import { access, mkdtempDisposable, realpath } from 'node:fs/promises'
import path from 'node:path'
import { writeBusyboxLayer } from './busybox-layer.ts'
import { writeDockerSave } from './docker-save.ts'
import { librariesOf, writeProgramLayer } from './program-layer.ts'

export interface TestpmdPrograms {
  readonly testpmd: string
  readonly busybox: string
}

export const testpmdImage = 'localhost/testpmd:1'

/**
 * Beside those that testpmd is linked with: the buses, the pool of packet buffers, QEMU's e1000, e1000e and virtio cards, EC2's card, and
 * one that is a ring in memory.
 */
const drivers = ['bus_pci', 'bus_vdev', 'mempool_ring', 'net_e1000', 'net_virtio', 'net_ena', 'net_ring']

/**
 * An archive in the format of `docker save`. A pod says in its command what is to run, such as `/bin/sh -c 'exec dpdk-testpmd ...'`. Without
 * `--stats-period` testpmd stops when its standard input ends, and that of a pod ends at once.
 */
export async function writeTestpmdImage(archive: string, { testpmd, busybox }: TestpmdPrograms): Promise<void> {
  await using layers = await mkdtempDisposable(`${archive}-layers-`)
  const base = path.join(layers.path, 'busybox.tar')
  await writeBusyboxLayer(base, busybox)
  const programs = path.join(layers.path, 'programs.tar')
  const files = [testpmd, ...(await loadedAtRun(testpmd))]
  await writeProgramLayer(
    programs,
    files.map((file) => ({ file })),
  )
  await writeDockerSave(archive, [
    { name: testpmdImage, config: { Env: ['PATH=/bin:/usr/bin'] }, layers: [base, programs] },
  ])
}

/** What `ldd` does not know. */
async function loadedAtRun(testpmd: string): Promise<string[]> {
  const libraries = await librariesOf(testpmd)
  // DPDK loads all drivers of one directory, from files whose names end in its full version (eal_plugins_init in eal_common_options.c).
  const aDriver = await realpath(named(libraries, 'librte_bus_vdev.so', testpmd))
  const [, version = ''] = path.basename(aDriver).split('.so.')
  const ofDrivers = drivers.map((driver) => path.join(path.dirname(aDriver), `librte_${driver}.so.${version}`))
  // The C library needs it to end a thread (pthread_cancel(3)), and testpmd ends its threads so.
  const unwinder = path.join(path.dirname(named(libraries, 'libc.so', testpmd)), 'libgcc_s.so.1')
  const files = [...ofDrivers, unwinder]
  await Promise.all(files.map((file) => access(file)))
  return files
}

function named(libraries: readonly string[], name: string, program: string): string {
  const found = libraries.find((library) => path.basename(library).startsWith(name))
  if (found === undefined) throw new Error(`${program} is not linked with ${name}; the one of Debian's dpdk-dev is`)
  return found
}
