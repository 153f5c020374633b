// Watches the kubelet's device plugin directory: a kubelet that starts removes all sockets in it and makes its own anew. The
// directory itself may go and come again; while it is away there is no kubelet, and nothing fails.
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { type FSWatcher, watch } from 'chokidar'

import type { Log } from '../process/log.ts'
import { socketPrefix } from './plugin-server.ts'

/** inotify goes deaf when the directory itself is replaced; a stat does not. */
const pollMs = 1_000

export interface Lost {
  /** One of our sockets. */
  readonly path: string
  readonly tell: () => void
}

export class KubeletSockets {
  readonly kubeletSocket: string
  readonly #directory: string
  readonly #log: Log
  readonly #kubeletListeners = new Set<() => void>()
  readonly #ours = new Set<Lost>()
  #identity: string | undefined
  #watcher: FSWatcher | undefined
  /** The directory that the watcher was made for. */
  #watched: string | undefined = 'none yet'

  constructor(directory: string, log: Log) {
    this.#directory = directory
    this.#log = log
    this.kubeletSocket = join(directory, 'kubelet.sock')
    this.#identity = identityOf(this.kubeletSocket)
  }

  /** Another value means another kubelet process; undefined means none. */
  get kubelet(): string | undefined {
    return this.#identity
  }

  /** Calls back whenever `kubelet` has changed, until the returned function is called. */
  onKubelet(listener: () => void): () => void {
    this.#kubeletListeners.add(listener)
    return () => this.#kubeletListeners.delete(listener)
  }

  /** Tells once when our socket is gone, until the returned function is called. */
  guard(lost: Lost): () => void {
    this.#ours.add(lost)
    return () => this.#ours.delete(lost)
  }

  /** Sockets of an earlier process that was killed: whoever holds the lock (instance-lock.ts) is the only one alive. */
  removeLeftovers(): void {
    for (const name of namesIn(this.#directory)) {
      if (name.startsWith(socketPrefix)) rmSync(join(this.#directory, name), { force: true })
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        await this.#watchDirectory()
        this.#check()
        await delay(pollMs, undefined, { signal }).catch(() => undefined)
      }
    } finally {
      await this.#watcher?.close()
    }
  }

  /** A watcher goes with the directory that it was made for. */
  async #watchDirectory(): Promise<void> {
    const directory = directoryAt(this.#directory)
    if (directory === this.#watched) return
    await this.#watcher?.close()
    this.#watcher = undefined
    this.#watched = directory
    if (directory === undefined) {
      this.#log.warn({ directory: this.#directory }, 'plugin directory is gone, waiting for it')
      return
    }
    this.#log.info({ directory: this.#directory }, 'plugin directory watched')
    this.#watcher = watch(this.#directory, { depth: 0, ignoreInitial: true })
    this.#watcher.on('all', (event, path) => {
      // The next one may get the same inode number.
      if (event === 'unlinkDir' && path === this.#directory) this.#watched = 'removed'
      // A quick replacement of a socket comes as 'change', not as 'add'.
      this.#check()
    })
    this.#watcher.on('error', (error) =>
      this.#log.warn({ err: error }, 'watch of the plugin directory failed, still polling'),
    )
  }

  #check(): void {
    for (const lost of this.#ours) {
      if (identityOf(lost.path) !== undefined) continue
      this.#ours.delete(lost)
      lost.tell()
    }
    const identity = identityOf(this.kubeletSocket)
    if (identity === this.#identity) return
    this.#identity = identity
    this.#log.info({ present: identity !== undefined }, 'kubelet socket changed')
    for (const listener of this.#kubeletListeners) listener()
  }
}

/** File systems on disk give a freed inode number to the next file, so its time counts too. */
function identityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? undefined : `${found.ino}:${found.ctimeNs}`
}

/** By device too: another mount may lie over it. */
function directoryAt(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  return found && `${found.dev}:${found.ino}`
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
