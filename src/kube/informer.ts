// A cache of one kind of object, kept by list and watch, that never stops by itself: a reset connection, a 5xx or a failed list
// is tried again for ever.
import { type Clock, realClock, sleep } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { KubeClient } from './cluster.ts'
import { isGone, KubeError } from './kube-error.ts'

/** Objects of ordinary size; a page is parsed in one go, and nothing else happens meanwhile. */
const pageSizeDefault = 500
/** The API server ends a watch after this time. */
const watchSeconds = 290
/** It sends a bookmark once a minute (cacher.go, bookmarkFrequency): a watch without a line for longer is dead. */
const watchStallMs = 90_000
/** A full list now and then heals whatever a watch could have missed (Pepr's ADR 15 does likewise). */
const relistMs = 10 * 60_000
/** A server that ends every watch sooner must not be asked in a tight loop. */
const endedWatchMs = 1_000
const firstBackoffMs = 200
const lastBackoffMs = 30_000

interface Listed {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
  readonly items: readonly unknown[]
}

interface WatchEvent {
  readonly type: string
  readonly object: { readonly code?: number; readonly message?: string } & NamedObject
}

/** All that may be relied on of an object. */
export interface NamedObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly resourceVersion?: string }
}

/** What `parse` says of an object that is as good as absent: nothing of it is kept. */
export const notOfInterest = Symbol('not of interest')

export interface InformerOptions<T> {
  readonly cluster: KubeClient
  readonly path: string
  readonly fieldSelector?: string
  /** undefined: it cannot be read, since it is not what its CRD says; say so in the log. */
  readonly parse: (raw: unknown) => T | typeof notOfInterest | undefined
  /** Objects of a list that come at once. */
  readonly pageSize?: number
  readonly log: Log
  readonly clock?: Clock
}

/**
 * `before` is undefined for a new object, `after` for a deleted one; for one that cannot be read both may be, and only
 * `Informer.unreadable` tells it from one that is deleted. Listeners must not throw.
 */
export type ChangeListener<T> = (key: string, after: T | undefined, before: T | undefined) => void

export class Informer<T> {
  readonly #options: InformerOptions<T>
  readonly #clock: Clock
  readonly #objects = new Map<string, T>()
  readonly #unreadable = new Map<string, NamedObject>()
  readonly #listeners: ChangeListener<T>[] = []
  readonly #listListeners: ((version: string) => void)[] = []
  readonly #synced = Promise.withResolvers<void>()
  #hasSynced = false
  #resourceVersion = ''

  constructor(options: InformerOptions<T>) {
    this.#options = options
    this.#clock = options.clock ?? realClock
  }

  get hasSynced(): boolean {
    return this.#hasSynced
  }

  /** Resolves after the first complete list. */
  get synced(): Promise<void> {
    return this.#synced.promise
  }

  /** Keys are `name`, or `namespace/name`. */
  get(key: string): T | undefined {
    return this.#objects.get(key)
  }

  values(): IterableIterator<T> {
    return this.#objects.values()
  }

  /** What is there and cannot be read, as the API server sent it, by key. */
  get unreadable(): ReadonlyMap<string, NamedObject> {
    return this.#unreadable
  }

  onChange(listener: ChangeListener<T>): void {
    this.#listeners.push(listener)
  }

  /** Called after each whole list, with its version: all that is in it, and what is not in it any more, has been told. */
  onListed(listener: (version: string) => void): void {
    this.#listListeners.push(listener)
  }

  /** Lists and watches until the signal aborts. A watch that breaks goes on from where it was, without a new list. */
  async run(signal: AbortSignal): Promise<void> {
    const clock = this.#clock
    let backoffMs = firstBackoffMs
    let listAt = clock.monotonic()
    while (!signal.aborted) {
      const startedAt = clock.monotonic()
      let goodAfterMs = endedWatchMs
      try {
        if (startedAt >= listAt) {
          await this.#list(signal)
          listAt = clock.monotonic() + relistMs
        }
        await this.#watch(signal)
      } catch (error) {
        if (signal.aborted) return
        goodAfterMs = lastBackoffMs
        // What we have is too old to go on from.
        if (isGone(error)) listAt = clock.monotonic()
        else this.#options.log.warn({ path: this.#options.path, err: error }, 'list or watch failed, trying again')
      }
      if (clock.monotonic() - startedAt > goodAfterMs) {
        backoffMs = firstBackoffMs
        continue
      }
      await sleep(clock, backoffMs * (0.5 + Math.random() / 2), signal)
      backoffMs = Math.min(backoffMs * 2, lastBackoffMs)
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { cluster, path, fieldSelector, pageSize = pageSizeDefault } = this.#options
    const listed = new Set<string>()
    let next: string | undefined
    let version = ''
    do {
      const query = { limit: pageSize, ...(fieldSelector && { fieldSelector }), ...(next && { continue: next }) }
      const page = await cluster.request<Listed>('GET', path, { query, signal })
      for (const raw of page.items) {
        const key = this.#put(raw)
        if (key !== undefined) listed.add(key)
      }
      next = page.metadata?.continue
      version = page.metadata?.resourceVersion ?? ''
    } while (next !== undefined && next !== '')
    for (const key of [...this.#objects.keys(), ...this.#unreadable.keys()]) {
      if (!listed.has(key)) this.#remove(key)
    }
    this.#resourceVersion = version
    for (const listener of this.#listListeners) listener(version)
    this.#hasSynced = true
    this.#synced.resolve()
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { cluster, path, fieldSelector } = this.#options
    const stall = new AbortController()
    const arm = () => this.#clock.after(watchStallMs, () => stall.abort())
    let disarm = arm()
    const query = {
      watch: true,
      allowWatchBookmarks: true,
      timeoutSeconds: watchSeconds,
      resourceVersion: this.#resourceVersion,
      ...(fieldSelector && { fieldSelector }),
    }
    try {
      const lines = cluster.lines(path, { query, signal: AbortSignal.any([signal, stall.signal]) })
      for await (const line of lines) {
        disarm()
        disarm = arm()
        this.#apply(line as WatchEvent)
      }
    } finally {
      disarm()
    }
  }

  #apply(event: WatchEvent): void {
    if (event.type === 'ERROR') {
      const { code, message } = event.object
      throw new KubeError(`watch ${this.#options.path}`, code ?? 0, '', message ?? 'unknown watch error')
    }
    if (event.type === 'DELETED') this.#remove(keyOf(event.object))
    else if (event.type !== 'BOOKMARK') this.#put(event.object)
    this.#resourceVersion = event.object.metadata.resourceVersion ?? this.#resourceVersion
  }

  /** undefined: nothing of it is kept. */
  #put(raw: unknown): string | undefined {
    const key = keyOf(raw as NamedObject)
    const before = this.#objects.get(key)
    const after = this.#options.parse(raw)
    if (after === notOfInterest) {
      this.#remove(key)
      return undefined
    }
    if (after === undefined) {
      this.#objects.delete(key)
      this.#unreadable.set(key, raw as NamedObject)
    } else {
      this.#objects.set(key, after)
      this.#unreadable.delete(key)
    }
    this.#tell(key, after, before)
    return key
  }

  #remove(key: string): void {
    const before = this.#objects.get(key)
    const wasUnreadable = this.#unreadable.delete(key)
    if (this.#objects.delete(key) || wasUnreadable) this.#tell(key, undefined, before)
  }

  #tell(...change: Parameters<ChangeListener<T>>): void {
    for (const listener of this.#listeners) listener(...change)
  }
}

function keyOf({ metadata }: NamedObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`
}
