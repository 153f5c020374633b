// Finds the programs that come from the Linux distribution: runc, CNI plugins, a static busybox, ip and others.
import { constants } from 'node:fs'
import { access, open } from 'node:fs/promises'
import path from 'node:path'
import type { Host } from '../host.ts'
import { runCommand } from '../run-command.ts'

export interface HostTools {
  readonly runc: string
  readonly cniPluginDir: string
  /** Statically linked: it is the whole content of the container images. */
  readonly busybox: string
}

interface Tool {
  readonly name: string
  readonly debianPackage: string
  readonly find: (host: Host) => Promise<string | undefined>
}

const cniPlugins = ['ptp', 'host-local', 'loopback', 'host-device']

const runc: Tool = { name: 'runc', debianPackage: 'runc', find: (host) => onPath('runc', host) }
const cni: Tool = {
  name: `CNI plugins (${cniPlugins.join(', ')})`,
  debianPackage: 'containernetworking-plugins',
  find: findCniPluginDir,
}
const busybox: Tool = {
  name: 'statically linked busybox',
  debianPackage: 'busybox-static',
  find: findStaticBusybox,
}
/** Each with the Debian package that has it. */
const otherCommands = {
  ip: 'iproute2',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  setpriv: 'util-linux',
  flock: 'util-linux',
  mount: 'mount',
  tar: 'tar',
  openssl: 'openssl',
}
const otherTools = Object.entries(otherCommands).map(([name, debianPackage]): Tool => ({
  name,
  debianPackage,
  find: (host) => onPath(name, host),
}))

/** Installs what is missing when it may; else throws with the one line that says what to install. */
export async function obtainHostTools(host: Host, log: (line: string) => void): Promise<HostTools> {
  await installMissing([runc, cni, busybox, ...otherTools], host, log)
  return {
    runc: await required(runc, host),
    cniPluginDir: await required(cni, host),
    busybox: await required(busybox, host),
  }
}

async function installMissing(tools: readonly Tool[], host: Host, log: (line: string) => void): Promise<void> {
  const missing = await missingOf(tools, host)
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((tool) => tool.debianPackage))]
  const aptGet = await onPath('apt-get', host)
  if (host.uid !== 0 || aptGet === undefined) throw new Error(whatToInstall(missing))
  log(`installing ${packages.join(' ')} with apt-get`)
  await aptInstall(aptGet, packages).catch((error: unknown) => {
    throw new Error(whatToInstall(missing), { cause: error })
  })
  const stillMissing = await missingOf(tools, host)
  if (stillMissing.length > 0) throw new Error(whatToInstall(stillMissing))
}

/** Takes no signal: a dpkg that is interrupted leaves the machine half installed. */
async function aptInstall(aptGet: string, packages: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const args = ['install', '-y', '--no-install-recommends', ...packages]
  const installed = await runCommand(aptGet, args, { env }).catch(() => undefined)
  if (installed !== undefined) return
  // A fresh container image has no package lists at all.
  await runCommand(aptGet, ['update'], { env })
  await runCommand(aptGet, args, { env })
}

async function missingOf(tools: readonly Tool[], host: Host): Promise<Tool[]> {
  const found = await Promise.all(tools.map((tool) => tool.find(host)))
  return tools.filter((_, index) => found[index] === undefined)
}

async function required(tool: Tool, host: Host): Promise<string> {
  const found = await tool.find(host)
  if (found === undefined) throw new Error(whatToInstall([tool]))
  return found
}

function whatToInstall(missing: readonly Tool[]): string {
  const names = missing.map((tool) => tool.name).join(', ')
  const packages = [...new Set(missing.map((tool) => tool.debianPackage))].join(' ')
  return `missing: ${names}; as root: apt-get install ${packages} (or your distribution's packages of these)`
}

async function onPath(command: string, { searchDirs }: Host): Promise<string | undefined> {
  for (const dir of searchDirs) {
    const file = path.join(dir, command)
    if (await executable(file)) return file
  }
  return undefined
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

function executable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
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
