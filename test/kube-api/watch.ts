// A watch: first what has happened since the version asked for, then every change, until somebody ends it. On its way to the client
// it may lag behind, lose its last events, or break.
import type { Clock } from '../../src/process/clock.ts'

import { fieldSelector } from './field-selector.ts'
import type { Change, ObjectStore } from './object-store.ts'
import { Refusal, statusOf } from './refusal.ts'
import type { KubeObject, Target } from './resources.ts'

/** kube-apiserver, storage/cacher: bookmarkFrequency. */
const bookmarkMs = 60_000

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: object
}

/** The client's side. */
export interface WatchListener {
  event(event: WatchEvent): void
  /** `reset`: the connection breaks; `closed`: the server has said all it will say. */
  end(how: 'reset' | 'closed'): void
}

export interface WatchOptions {
  readonly target: Target
  readonly query: URLSearchParams
  readonly clock: Pick<Clock, 'after'>
  /** How long an event takes to the client, asked anew for each. */
  readonly delayMs: () => number
  /** The latest version of all objects. */
  readonly version: () => number
}

export class Watch {
  readonly #store: ObjectStore
  readonly #options: WatchOptions
  readonly #listener: WatchListener
  readonly #isSelected: (object: KubeObject) => boolean
  readonly #onTheWay: WatchEvent[] = []
  readonly #timers = new Set<() => void>()
  #stopListening: () => void = () => undefined
  #eventsToLose: number | undefined

  /** @throws Refusal 400 */
  constructor(store: ObjectStore, options: WatchOptions, listener: WatchListener) {
    this.#store = store
    this.#options = options
    this.#listener = listener
    const { namespace } = options.target
    const isSelected = fieldSelector(options.query.get('fieldSelector') ?? '', store.resource)
    this.#isSelected = (object) =>
      (namespace === undefined || object.metadata.namespace === namespace) && isSelected(object)
  }

  open(): void {
    const { query } = this.#options
    const seconds = Number(query.get('timeoutSeconds') ?? 0)
    if (seconds > 0) this.#after(seconds * 1000, () => this.#end('closed'))
    if (query.get('allowWatchBookmarks') === 'true') this.#after(bookmarkMs, () => this.#bookmark())
    this.#stopListening = this.#store.onChange((change) => this.#changed(change))
    this.#catchUp()
  }

  /** Without a word to the client. */
  close(): void {
    this.#stopListening()
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    this.#onTheWay.length = 0
  }

  /** What is on the way is lost. */
  break(): void {
    this.#end('reset')
  }

  /** The next events do not reach the client, and with the last of them the connection breaks. */
  loseNext(events: number): void {
    this.#eventsToLose = events
  }

  #end(how: 'reset' | 'closed'): void {
    this.close()
    this.#listener.end(how)
  }

  #catchUp(): void {
    const asked = this.#options.query.get('resourceVersion') ?? ''
    if (asked === '' || asked === '0') {
      for (const object of this.#store.list()) this.#past({ type: 'ADDED', object, before: undefined })
      return
    }
    try {
      this.#store.changesSince(Number(asked)).forEach((change) => this.#past(change))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      // A watch that is allowed has no other way to say so (kube-apiserver, storage/cacher: newErrWatcher).
      this.#listener.event({ type: 'ERROR', object: statusOf(error) })
      this.#end('closed')
    }
  }

  #past(change: Change): void {
    const event = this.#eventOf(change)
    if (event !== undefined) this.#listener.event(event)
  }

  #changed(change: Change): void {
    const event = this.#eventOf(change)
    if (event === undefined) return
    if (this.#eventsToLose === undefined) return this.#send(event)
    this.#eventsToLose--
    if (this.#eventsToLose <= 0) this.break()
  }

  /** By these a client knows from where to go on, although nothing happens to what it watches. */
  #bookmark(): void {
    const { apiVersion, kind } = this.#store.resource
    const metadata = { resourceVersion: String(this.#options.version()) }
    // Its version would be past the events that are lost.
    if (this.#eventsToLose === undefined) this.#send({ type: 'BOOKMARK', object: { apiVersion, kind, metadata } })
    this.#after(bookmarkMs, () => this.#bookmark())
  }

  #send(event: WatchEvent): void {
    this.#onTheWay.push(event)
    const ms = this.#options.delayMs()
    if (ms <= 0) this.#arrive()
    else this.#after(ms, () => this.#arrive())
  }

  /** Whichever timer ran out, the oldest comes first: events of one watch do not overtake each other. */
  #arrive(): void {
    const event = this.#onTheWay.shift()
    if (event !== undefined) this.#listener.event(event)
  }

  #after(ms: number, callback: () => void): void {
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(cancel)
      callback()
    })
    this.#timers.add(cancel)
  }

  #eventOf({ type, object, before }: Change): WatchEvent | undefined {
    const was = before !== undefined && this.#isSelected(before)
    const is = type !== 'DELETED' && this.#isSelected(object)
    if (is) return { type: was ? 'MODIFIED' : 'ADDED', object }
    return was ? { type: 'DELETED', object: lastSeen(before, object) } : undefined
  }
}

/** An object that no longer matches the selector is deleted for this watch: as it last was, with the version of its change. */
function lastSeen(before: KubeObject, { metadata: { resourceVersion } }: KubeObject): object {
  return { ...before, metadata: { ...before.metadata, resourceVersion } }
}
