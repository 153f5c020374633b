// Kubernetes Events, where users look first. One that repeats within ten minutes is not written again.
import { hostname } from 'node:os'

import { type Clock, realClock, timestamp } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { KubeClient } from './cluster.ts'
import { KubeError } from './kube-error.ts'
import { eventsPath } from './resource.ts'

export interface InvolvedObject {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  /** Cluster-scoped objects have none; their events go to namespace default, as kubectl describe expects. */
  readonly namespace?: string
}

const repeatMs = 10 * 60_000
const retryMs = 30_000
const rememberedMax = 16_384
const messageMax = 1024

export class EventRecorder {
  readonly #cluster: KubeClient
  readonly #component: string
  readonly #log: Log
  readonly #clock: Clock
  readonly #lastSent = new Map<string, number>()

  constructor(cluster: KubeClient, component: string, log: Log, clock: Clock = realClock) {
    this.#cluster = cluster
    this.#component = component
    this.#log = log
    this.#clock = clock
  }

  /** In the order of time, so that the oldest are forgotten first. */
  #remember(key: string, now: number): void {
    this.#lastSent.delete(key)
    this.#lastSent.set(key, now)
    for (const [old, sentAt] of this.#lastSent) {
      if (this.#lastSent.size <= rememberedMax && now - sentAt < repeatMs) break
      this.#lastSent.delete(old)
    }
  }

  /** Never waits and never throws: an event is a courtesy, not a step. */
  record(object: InvolvedObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const key = [object.uid, type, reason, message].join('\0')
    const now = this.#clock.monotonic()
    if (now - (this.#lastSent.get(key) ?? -Infinity) < repeatMs) return
    this.#remember(key, now)
    const namespace = object.namespace ?? 'default'
    const time = timestamp(this.#clock)
    const body = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: `${object.name.slice(0, 200)}.`, namespace },
      involvedObject: object,
      type,
      reason,
      message: message.slice(0, messageMax),
      source: { component: this.#component, host: hostname() },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
      reportingComponent: this.#component,
      reportingInstance: hostname(),
    }
    this.#cluster.request('POST', eventsPath(namespace), { body }).catch((error: unknown) => {
      this.#log.warn({ object: object.name, reason, err: error }, 'event not written')
      // Said again when it is still so some time later: what is away takes none of the others either.
      if (!isRefusal(error)) this.#lastSent.set(key, this.#clock.monotonic() - repeatMs + retryMs)
    })
  }
}

/** A right that is missing will be missing the next time. */
function isRefusal(error: unknown): boolean {
  return error instanceof KubeError && error.code >= 400 && error.code < 429
}
