// Finds the programs that come from the Linux distribution: runc, CNI plugins, a static busybox, ip and others.
import { open } from 'node:fs/promises'
import path from 'node:path'
import type { Host } from '../host.ts'
import { commandTools, installMissing, required, type Tool } from './distribution-tools.ts'
import { executable, onPath } from './find-program.ts'

export interface HostTools {
  readonly runc: string
  readonly cniPluginDir: string
  /** Statically linked: it is the whole content of the container images. */
  readonly busybox: string
}

const cniPlugins = ['ptp', 'host-local', 'loopback', 'host-device']

export const runc: Tool = { name: 'runc', debianPackage: 'runc', find: (host) => onPath('runc', host) }
export const cni: Tool = {
  name: `CNI plugins (${cniPlugins.join(', ')})`,
  debianPackage: 'containernetworking-plugins',
  find: findCniPluginDir,
}
export const busybox: Tool = {
  name: 'statically linked busybox',
  debianPackage: 'busybox-static',
  find: findStaticBusybox,
}
const otherTools = commandTools({
  ip: 'iproute2',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  setpriv: 'util-linux',
  flock: 'util-linux',
  mount: 'mount',
  tar: 'tar',
  openssl: 'openssl',
})

/** Installs what is missing when it may; else throws with the one line that says what to install. */
export async function obtainHostTools(host: Host, log: (line: string) => void): Promise<HostTools> {
  await installMissing([runc, cni, busybox, ...otherTools], host, log)
  return {
    runc: await required(runc, host),
    cniPluginDir: await required(cni, host),
    busybox: await required(busybox, host),
  }
}

async function findCniPluginDir({ cniPluginDirs }: Host): Promise<string | undefined> {
  for (const dir of cniPluginDirs) {
    const found = await Promise.all(cniPlugins.map((name) => executable(path.join(dir, name))))
    if (found.every(Boolean)) return dir
  }
  return undefined
}

async function findStaticBusybox({ searchDirs }: Host): Promise<string | undefined> {
  for (const dir of searchDirs) {
    const file = path.join(dir, 'busybox')
    if ((await executable(file)) && (await isStatic(file))) return file
  }
  return undefined
}

/** A 64-bit ELF program without an interpreter entry (PT_INTERP) needs no dynamic linker. */
async function isStatic(file: string): Promise<boolean> {
  const headerBytes = 64
  const interpreterEntry = 3
  const handle = await open(file)
  try {
    const header = Buffer.alloc(headerBytes)
    await handle.read(header, 0, headerBytes, 0)
    const entryBytes = header.readUInt16LE(54)
    const entries = header.readUInt16LE(56)
    const table = Buffer.alloc(entryBytes * entries)
    await handle.read(table, 0, table.length, Number(header.readBigUInt64LE(32)))
    for (let entry = 0; entry < entries; entry += 1) {
      if (table.readUInt32LE(entry * entryBytes) === interpreterEntry) return false
    }
    return entries > 0
  } finally {
    await handle.close()
  }
}
