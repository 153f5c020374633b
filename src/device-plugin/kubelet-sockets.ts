// Watches the kubelet's device plugin directory: a kubelet that starts removes all sockets in it and makes its own anew.
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { watch } from 'chokidar'

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

  /** Sockets of an earlier process that was killed. */
  removeLeftovers(): void {
    for (const name of readdirSync(this.#directory)) {
      if (name.startsWith(socketPrefix)) rmSync(join(this.#directory, name), { force: true })
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const watcher = watch(this.#directory, { depth: 0, ignoreInitial: true })
    // A quick replacement of the socket comes as 'change', not as 'add'.
    watcher.on('all', () => this.#check())
    watcher.on('error', (error) =>
      this.#log.warn({ err: error }, 'watch of the plugin directory failed, still polling'),
    )
    try {
      while (!signal.aborted) {
        this.#check()
        await delay(pollMs, undefined, { signal }).catch(() => undefined)
      }
    } finally {
      await watcher.close()
    }
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
