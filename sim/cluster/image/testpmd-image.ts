// The image of a pod that moves packets with DPDK: dpdk-testpmd of this machine with the drivers that a test needs, and busybox as shell.
import { access, mkdtempDisposable, realpath } from 'node:fs/promises'
import path from 'node:path'
import { installMissing, required, type Tool } from '../binaries/distribution-tools.ts'
import { onPath } from '../binaries/find-program.ts'
import { busybox } from '../binaries/host-tools.ts'
import type { Host } from '../host.ts'
import { writeBusyboxLayer } from './busybox-layer.ts'
import { writeDockerSave } from './docker-save.ts'
import { librariesOf, writeProgramLayer } from './program-layer.ts'

export interface TestpmdPrograms {
  readonly testpmd: string
  readonly busybox: string
}

const testpmd: Tool = { name: 'dpdk-testpmd', debianPackage: 'dpdk-dev', find: (host) => onPath('dpdk-testpmd', host) }

export const testpmdImage = 'localhost/testpmd:1'

/**
 * Beside those that testpmd is linked with: the buses, the pool of packet buffers, QEMU's e1000, e1000e and virtio cards, EC2's card, and
 * one that is a ring in memory.
 */
const drivers = ['bus_pci', 'bus_vdev', 'mempool_ring', 'net_e1000', 'net_virtio', 'net_ena', 'net_ring']

/** Installs what is missing when it may; else throws with the one line that says what to install. */
export async function obtainTestpmd(host: Host, log: (line: string) => void): Promise<TestpmdPrograms> {
  await installMissing([testpmd, busybox], host, log)
  return { testpmd: await required(testpmd, host), busybox: await required(busybox, host) }
}

/**
 * An archive in the format of `docker save`. A pod says in its command what is to run, such as `/bin/sh -c 'exec dpdk-testpmd ...'`. Without
 * `--stats-period` testpmd stops when its standard input ends, and that of a pod ends at once.
 */
export async function writeTestpmdImage(archive: string, programs: TestpmdPrograms): Promise<void> {
  await using layers = await mkdtempDisposable(`${archive}-layers-`)
  const base = path.join(layers.path, 'busybox.tar')
  await writeBusyboxLayer(base, programs.busybox)
  const dpdk = path.join(layers.path, 'dpdk.tar')
  const files = [programs.testpmd, ...(await loadedAtRun(programs.testpmd))]
  await writeProgramLayer(
    dpdk,
    files.map((file) => ({ file })),
  )
  const config = { Env: ['PATH=/bin:/usr/bin'] }
  await writeDockerSave(archive, [{ name: testpmdImage, config, layers: [base, dpdk] }])
}

/** What `ldd` does not know. */
async function loadedAtRun(program: string): Promise<string[]> {
  const libraries = await librariesOf(program)
  // DPDK loads all drivers of one directory, from files whose names end in its full version (eal_plugins_init in eal_common_options.c).
  const aDriver = await realpath(named(libraries, 'librte_bus_vdev.so', program))
  const [, version = ''] = path.basename(aDriver).split('.so.')
  const ofDrivers = drivers.map((driver) => path.join(path.dirname(aDriver), `librte_${driver}.so.${version}`))
  // The C library needs it to end a thread (pthread_cancel(3)), and testpmd ends its threads so.
  const unwinder = path.join(path.dirname(named(libraries, 'libc.so', program)), 'libgcc_s.so.1')
  const files = [...ofDrivers, unwinder]
  await Promise.all(files.map((file) => access(file)))
  return files
}

function named(libraries: readonly string[], name: string, program: string): string {
  const found = libraries.find((library) => path.basename(library).startsWith(name))
  if (found === undefined) throw new Error(`${program} is not linked with ${name}; the one of Debian's dpdk-dev is`)
  return found
}
