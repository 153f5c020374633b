// Fetches a group's published files and keeps them only when their SHA-256 is the published one.
import { createHash } from 'node:crypto'
import { chmod, open, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from '../run-command.ts'
import type { BinaryGroup, Release } from './group.ts'

// Where the internet is closed, waiting longer only delays the build.
const responseDeadlineMs = 5_000
const stalledDeadlineMs = 30_000
const progressIntervalMs = 5_000

/** Puts the group's binaries into `directory`. Throws when a file cannot be had or is not the published one. */
export async function downloadGroup(
  group: BinaryGroup,
  directory: string,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  for (const release of group.releases) {
    const fileName = path.posix.basename(release.url)
    const file = path.join(directory, fileName)
    const expected = await publishedChecksum(release, signal)
    const actual = await fetchFile(release.url, file, log, signal)
    if (actual !== expected) {
      throw new Error(`${release.url} has SHA-256 ${actual}, published is ${expected}`)
    }
    if (release.archiveFolder === undefined) {
      await chmod(file, 0o755)
      continue
    }
    await unpack(file, directory, release.archiveFolder, group.binaries)
  }
}

async function publishedChecksum(release: Release, signal?: AbortSignal): Promise<string> {
  const { response, stop } = await get(release.checksumUrl, signal)
  const text = await response.text().finally(stop)
  const fileName = path.posix.basename(release.url)
  for (const line of text.split('\n')) {
    const [checksum, name] = line.trim().split(/\s+\*?/)
    if (checksum === undefined || !/^[0-9a-f]{64}$/.test(checksum)) continue
    if (name === undefined || path.posix.basename(name) === fileName) return checksum
  }
  throw new Error(`${release.checksumUrl} has no checksum of ${fileName}`)
}

async function fetchFile(
  url: string,
  file: string,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const { response, stop, keepAlive } = await get(url, signal)
  if (response.body === null) throw new Error(`${url} is empty`)
  const hash = createHash('sha256')
  const total = Number(response.headers.get('content-length') ?? 0)
  const output = await open(file, 'wx')
  let bytes = 0
  let reportedAt = Date.now()
  try {
    for await (const chunk of response.body) {
      keepAlive()
      hash.update(chunk)
      await output.writeFile(chunk)
      bytes += chunk.length
      if (Date.now() - reportedAt < progressIntervalMs) continue
      reportedAt = Date.now()
      log(`downloading ${url}: ${megabytes(bytes)} of ${megabytes(total)} MB`)
    }
  } finally {
    stop()
    await output.close()
  }
  return hash.digest('hex')
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0)
}

/** A request that is given up when nothing comes for a while; `keepAlive` says that something came. */
async function get(url: string, signal?: AbortSignal) {
  const stalled = new AbortController()
  const giveUp = () => stalled.abort(new Error(`${url}: no answer`))
  let timer = setTimeout(giveUp, responseDeadlineMs)
  const stop = () => clearTimeout(timer)
  const keepAlive = () => {
    stop()
    timer = setTimeout(giveUp, stalledDeadlineMs)
  }
  try {
    const either = signal === undefined ? stalled.signal : AbortSignal.any([stalled.signal, signal])
    const response = await fetch(url, { signal: either })
    if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`)
    keepAlive()
    return { response, stop, keepAlive }
  } catch (error) {
    stop()
    throw withCause(url, error)
  }
}

// fetch says only "fetch failed"; what the reader needs (ENOTFOUND, ECONNREFUSED) is in its cause.
function withCause(url: string, error: unknown): Error {
  if (!(error instanceof Error)) return new Error(`${url}: ${String(error)}`)
  if (!(error.cause instanceof Error)) return error
  return new Error(`${new URL(url).host}: ${error.cause.message}`, { cause: error })
}

async function unpack(archive: string, directory: string, folder: string, binaries: readonly string[]): Promise<void> {
  const members = binaries.map((binary) => `${folder}/${binary}`)
  await runCommand('tar', ['-xzf', archive, '-C', directory, ...members])
  for (const binary of binaries) {
    await rename(path.join(directory, folder, binary), path.join(directory, binary))
  }
  await rm(path.join(directory, folder), { recursive: true })
  await rm(archive)
}
