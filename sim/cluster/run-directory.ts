// The one directory that holds everything of one cluster, and who owns it.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

// Not the temporary directory of the environment: a path of a unix socket may have 107 bytes at most.
export const runDirectoryParent = '/tmp'
const prefix = 'jit-eni-'
const ownerFile = 'owner.json'
const nameBytes = 3

/** The process that runs a cluster. Its start time tells it from a later process with the same id. */
export interface Owner {
  readonly pid: number
  readonly startTicks: string
  readonly addressBlock: number
}

export async function createRunDirectory(addressBlock: number): Promise<string> {
  const dir = path.join(runDirectoryParent, `${prefix}${randomBytes(nameBytes).toString('hex')}`)
  await mkdir(dir, { mode: 0o700 })
  const startTicks = startTicksOf(process.pid) ?? ''
  const owner: Owner = { pid: process.pid, startTicks, addressBlock }
  await writeFile(path.join(dir, ownerFile), JSON.stringify(owner))
  return dir
}

/** Also the name of the cluster's control group. */
export function runId(runDir: string): string {
  return path.basename(runDir)
}

export async function removeRunDirectory(runDir: string): Promise<void> {
  // The nodes mount in namespaces of their own. Should a mount ever be here, deleting would go through it.
  const mounted = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.includes(`${runDir}/`))
  if (mounted !== undefined) throw new Error(`not deleting ${runDir}, it has a mount: ${mounted}`)
  // Its owner last: should this end half-way, the next start still knows whose the rest is.
  for (const name of await readdir(runDir)) {
    if (name !== ownerFile) await rm(path.join(runDir, name), { recursive: true, force: true })
  }
  await rm(runDir, { recursive: true, force: true })
}

/** The run directories whose owner is no longer there. */
export async function abandonedRunDirectories(): Promise<{ runDir: string; owner: Owner }[]> {
  const abandoned = []
  for (const name of await readdir(runDirectoryParent)) {
    const runDir = path.join(runDirectoryParent, name)
    if (!name.startsWith(prefix) || !existsSync(path.join(runDir, ownerFile))) continue
    const owner = readOwner(runDir)
    if (owner === undefined || startTicksOf(owner.pid) === owner.startTicks) continue
    abandoned.push({ runDir, owner })
  }
  return abandoned
}

function readOwner(runDir: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(path.join(runDir, ownerFile), 'utf8')) as Owner
  } catch {
    // Its owner is writing it this moment, or has just deleted it.
    return undefined
  }
}

function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fieldsAfterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fieldsAfterName[19]
  } catch {
    return undefined
  }
}
