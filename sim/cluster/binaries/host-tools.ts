// Finds the programs that come from the Linux distribution: runc, CNI plugins, a static busybox, ip and others.
import { constants } from 'node:fs'
import { access, open } from 'node:fs/promises'
import path from 'node:path'
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
  readonly find: () => Promise<string | undefined>
}

const systemDirs = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
const cniPluginDirs = ['/usr/lib/cni', '/opt/cni/bin']
const cniPlugins = ['ptp', 'host-local', 'loopback']

const runc: Tool = { name: 'runc', debianPackage: 'runc', find: () => onPath('runc') }
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
const otherTools: readonly Tool[] = [
  { name: 'ip', debianPackage: 'iproute2', find: () => onPath('ip') },
  ...['nsenter', 'unshare', 'setpriv', 'flock'].map((name) => ({
    name,
    debianPackage: 'util-linux',
    find: () => onPath(name),
  })),
  { name: 'mount', debianPackage: 'mount', find: () => onPath('mount') },
  { name: 'tar', debianPackage: 'tar', find: () => onPath('tar') },
]

/** PATH with the system directories added: a login shell may leave out the sbin ones. */
export function searchPath(): string {
  const given = (process.env['PATH'] ?? '').split(path.delimiter).filter((dir) => dir !== '')
  return [...new Set([...given, ...systemDirs])].join(path.delimiter)
}

/** Installs what is missing when it may; else throws with the one line that says what to install. */
export async function obtainHostTools(log: (line: string) => void): Promise<HostTools> {
  await installMissing([runc, cni, busybox, ...otherTools], log)
  return {
    runc: await required(runc),
    cniPluginDir: await required(cni),
    busybox: await required(busybox),
  }
}

async function installMissing(tools: readonly Tool[], log: (line: string) => void): Promise<void> {
  const missing = await missingOf(tools)
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((tool) => tool.debianPackage))]
  if (process.getuid?.() !== 0 || (await onPath('apt-get')) === undefined) {
    throw new Error(whatToInstall(missing))
  }
  log(`installing ${packages.join(' ')} with apt-get`)
  await aptInstall(packages).catch((error: unknown) => {
    throw new Error(whatToInstall(missing), { cause: error })
  })
  const stillMissing = await missingOf(tools)
  if (stillMissing.length > 0) throw new Error(whatToInstall(stillMissing))
}

async function aptInstall(packages: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const args = ['install', '-y', '--no-install-recommends', ...packages]
  const installed = await runCommand('apt-get', args, { env }).catch(() => undefined)
  if (installed !== undefined) return
  // A fresh container image has no package lists at all.
  await runCommand('apt-get', ['update'], { env })
  await runCommand('apt-get', args, { env })
}

async function missingOf(tools: readonly Tool[]): Promise<Tool[]> {
  const found = await Promise.all(tools.map((tool) => tool.find()))
  return tools.filter((_, index) => found[index] === undefined)
}

async function required(tool: Tool): Promise<string> {
  const found = await tool.find()
  if (found === undefined) throw new Error(whatToInstall([tool]))
  return found
}

function whatToInstall(missing: readonly Tool[]): string {
  const names = missing.map((tool) => tool.name).join(', ')
  const packages = [...new Set(missing.map((tool) => tool.debianPackage))].join(' ')
  return `missing: ${names}; as root: apt-get install ${packages} (or your distribution's packages of these)`
}

async function onPath(command: string): Promise<string | undefined> {
  for (const dir of searchPath().split(path.delimiter)) {
    const file = path.join(dir, command)
    if (await executable(file)) return file
  }
  return undefined
}

async function findCniPluginDir(): Promise<string | undefined> {
  for (const dir of cniPluginDirs) {
    const found = await Promise.all(cniPlugins.map((name) => executable(path.join(dir, name))))
    if (found.every(Boolean)) return dir
  }
  return undefined
}

async function findStaticBusybox(): Promise<string | undefined> {
  for (const dir of searchPath().split(path.delimiter)) {
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
