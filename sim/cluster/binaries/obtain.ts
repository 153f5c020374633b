// Finds the Kubernetes, etcd and containerd binaries: a given directory, the cache, a download, a build.
import { constants } from 'node:fs'
import { access, mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { CacheDirectory, cacheHome } from './cache-directory.ts'
import { downloadGroup } from './download.ts'
import { buildGroup, findGo } from './go-build.ts'
import { architecture, binaryGroups, type BinaryGroup } from './group.ts'

const givenDirVariable = 'JIT_ENI_BIN_DIR'
/** Where Go's own installer puts it, for a shell whose PATH was never told. */
const goInstallDir = '/usr/local/go/bin'

/** The directory of each group. */
export interface BinaryDirs {
  readonly kubernetes: string
  readonly etcd: string
  readonly containerd: string
}

/** Where to look before anything is downloaded or built. */
export interface BinaryPlaces {
  readonly givenDir?: string | undefined
  readonly cacheDir: string
  /** Go, for what cannot be downloaded; the first that runs is used. */
  readonly goCommands: readonly string[]
}

export function binaryPlaces(env: NodeJS.ProcessEnv): BinaryPlaces {
  return {
    givenDir: env[givenDirVariable] || undefined,
    cacheDir: path.join(cacheHome(env), 'bin'),
    goCommands: ['go', path.join(goInstallDir, 'go')],
  }
}

/** Says in one line per group where its binaries come from; throws with what to do when they cannot be had. */
export async function obtainBinaries(
  places: BinaryPlaces,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<BinaryDirs> {
  const dirs: Partial<Record<BinaryGroup['name'], string>> = {}
  for (const group of binaryGroups) dirs[group.name] = await obtainGroup(group, places, log, signal)
  const { kubernetes, etcd, containerd } = dirs
  if (kubernetes === undefined || etcd === undefined || containerd === undefined) {
    throw new Error('a group of binaries is missing from the table of groups')
  }
  return { kubernetes, etcd, containerd }
}

/** The directory that has the group's binaries. */
export async function obtainGroup(
  group: BinaryGroup,
  places: BinaryPlaces,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const cache = new CacheDirectory(places.cacheDir)
  return (
    (await fromGivenDir(group, places, log)) ??
    (await fromCache(group, places, log)) ??
    (await cache.locked({ work: 'obtaining the binaries', log, signal }, async () => {
      // Another process may have filled the cache while this one waited for the lock.
      return (await fromCache(group, places, log)) ?? (await make(group, places, cache, log, signal))
    }))
  )
}

async function fromGivenDir(
  group: BinaryGroup,
  places: BinaryPlaces,
  log: (line: string) => void,
): Promise<string | undefined> {
  const directory = places.givenDir
  if (directory === undefined) return undefined
  const missing = await missingBinaries(group, directory)
  if (missing.length > 0) {
    log(`${title(group)}: ${givenDirVariable}=${directory} has no ${missing.join(', ')}`)
    return undefined
  }
  log(`${title(group)}: from ${givenDirVariable}, ${directory}`)
  return path.resolve(directory)
}

async function fromCache(
  group: BinaryGroup,
  places: BinaryPlaces,
  log: (line: string) => void,
): Promise<string | undefined> {
  const directory = cachedDir(group, places)
  if ((await missingBinaries(group, directory)).length > 0) return undefined
  log(`${title(group)}: from the cache, ${directory}`)
  return directory
}

async function make(
  group: BinaryGroup,
  places: BinaryPlaces,
  cache: CacheDirectory,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const startedAt = Date.now()
  let source = ''
  const final = await cache.fill(path.basename(cachedDir(group, places)), async (directory) => {
    source = await fill(group, places, directory, log, signal)
  })
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(0)
  log(`${title(group)}: ${source} in ${seconds} s, kept in ${final}`)
  return final
}

async function fill(
  group: BinaryGroup,
  places: BinaryPlaces,
  directory: string,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<'downloaded' | 'built'> {
  const refusal = await downloadGroup(group, directory, log, signal).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  if (refusal === undefined) return 'downloaded'
  signal?.throwIfAborted()
  log(`${title(group)}: no download (${refusal}), building from Go modules instead`)
  const go = await findGo(places.goCommands)
  if (go === undefined) {
    const why = `the download failed (${refusal}) and there is no Go to build it`
    throw new Error(`${title(group)} is missing: ${why}. ${whatToDo(group)}`)
  }
  await rm(directory, { recursive: true })
  await mkdir(directory)
  await buildGroup(group, go, directory, log, signal).catch((cause: unknown) => {
    signal?.throwIfAborted()
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`${said}\n${whatToDo(group)}`, { cause })
  })
  return 'built'
}

function whatToDo(group: BinaryGroup): string {
  return [
    `Either set ${givenDirVariable} to a directory that has ${group.binaries.join(', ')},`,
    `  or open the way to ${new URL(group.releases[0]?.url ?? '').host},`,
    `  or install Go 1.26 or later (https://go.dev/dl) and run this again`,
  ].join('\n')
}

async function missingBinaries(group: BinaryGroup, directory: string): Promise<string[]> {
  const found = await Promise.all(
    group.binaries.map((binary) =>
      access(path.join(directory, binary), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  )
  return group.binaries.filter((_, index) => found[index] !== true)
}

function cachedDir(group: BinaryGroup, places: BinaryPlaces): string {
  return path.join(places.cacheDir, `${group.name}-${group.version}-${architecture}`)
}

function title(group: BinaryGroup): string {
  return `${group.name} ${group.version}`
}
