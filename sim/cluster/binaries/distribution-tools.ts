// Programs of the Linux distribution that a simulated machine needs: found, installed with apt-get, or named in one line.
import type { Host } from '../host.ts'
import { Apt } from './apt.ts'
import { onPath } from './find-program.ts'

export interface Tool {
  readonly name: string
  readonly debianPackage: string
  readonly find: (host: Host) => Promise<string | undefined>
}

/** Programs by name, each with the Debian package that has it. */
export function commandTools(debianPackages: Readonly<Record<string, string>>): Tool[] {
  return Object.entries(debianPackages).map(([name, debianPackage]) => ({
    name,
    debianPackage,
    find: (host) => onPath(name, host),
  }))
}

/** Installs what is missing when it may; else throws with the one line that says what to install. */
export async function installMissing(tools: readonly Tool[], host: Host, log: (line: string) => void): Promise<void> {
  const missing = await missingOf(tools, host)
  if (missing.length === 0) return
  const apt = await Apt.find(host)
  if (apt === undefined) throw new Error(whatToInstall(missing))
  const packages = packagesOf(missing)
  log(`installing ${packages.join(' ')} with apt-get`)
  await apt.install(packages).catch((error: unknown) => {
    throw new Error(whatToInstall(missing), { cause: error })
  })
  const stillMissing = await missingOf(tools, host)
  if (stillMissing.length > 0) throw new Error(whatToInstall(stillMissing))
}

export async function required(tool: Tool, host: Host): Promise<string> {
  const found = await tool.find(host)
  if (found === undefined) throw new Error(whatToInstall([tool]))
  return found
}

async function missingOf(tools: readonly Tool[], host: Host): Promise<Tool[]> {
  const found = await Promise.all(tools.map((tool) => tool.find(host)))
  return tools.filter((_, index) => found[index] === undefined)
}

function packagesOf(tools: readonly Tool[]): string[] {
  return [...new Set(tools.map((tool) => tool.debianPackage))]
}

function whatToInstall(missing: readonly Tool[]): string {
  const names = missing.map((tool) => tool.name).join(', ')
  const packages = packagesOf(missing).join(' ')
  return `missing: ${names}; as root: apt-get install ${packages} (or your distribution's packages of these)`
}
