// Keeps one resource registered with the kubelet: serve, register, watch for loss, and start over with a new server.
import { credentials } from '@grpc/grpc-js'

import { type Clock, realClock, sleep } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import { devicePluginApi, devicePluginVersion } from './kubelet-api.ts'
import type { KubeletSockets } from './kubelet-sockets.ts'
import { PluginServer, type PluginServerOptions } from './plugin-server.ts'

/** The kubelet dials back for up to 10 s before it answers Register (plugin/v1beta1/client.go). */
const registerDeadlineMs = 12_000
/**
 * The kubelet opens its stream before it answers Register, and one that has not will never open it: also the end of an older
 * stream can have closed our client before that (kubernetes/kubernetes#92958, #127803).
 */
const watchDeadlineMs = 2_000
const firstBackoffMs = 50
const lastBackoffMs = 5_000
/** A registration that lives this long was good; the next trouble starts with the shortest backoff. */
const goodAfterMs = 10_000

/** Why a registration is made: the first one, or what the last one was lost by. */
export type RegistrationCause = 'first' | 'kubelet_restarted' | 'socket_removed' | 'stream_ended'

type Loss = RegistrationCause | 'stopping'

const lostBy: Readonly<Record<Loss, string>> = {
  stopping: 'stopping',
  first: 'there was none',
  kubelet_restarted: 'the kubelet has restarted',
  socket_removed: 'our socket was removed',
  stream_ended: 'the kubelet ended its stream',
}

export interface RegistrationCounts {
  readonly registered: (resource: string, cause: RegistrationCause) => void
  readonly failed: (resource: string) => void
}

export interface RegistrationOptions extends Omit<PluginServerOptions, 'directory' | 'resource'> {
  readonly directory: string
  readonly resource: string
  readonly sockets: KubeletSockets
  readonly log: Log
  readonly counts: RegistrationCounts
  /** After each change of `isRegistered`. */
  readonly onChange: () => void
  /** Of the waits between tries. */
  readonly clock?: Clock
}

export class Registration {
  readonly #options: RegistrationOptions
  readonly #log: Log
  readonly #clock: Clock
  #server: PluginServer | undefined
  #isRegistered = false
  #told: string | undefined

  constructor(options: RegistrationOptions) {
    this.#options = options
    this.#log = options.log.child({ resource: options.resource })
    this.#clock = options.clock ?? realClock
  }

  /** The kubelet has this resource from us, and a stream on which it hears of changes. */
  get isRegistered(): boolean {
    return this.#isRegistered
  }

  /** Tells the kubelet the current list. */
  send(): void {
    this.#server?.send()
  }

  async run(signal: AbortSignal): Promise<void> {
    let backoffMs = firstBackoffMs
    let cause: RegistrationCause = 'first'
    while (!signal.aborted) {
      const startedAt = this.#clock.monotonic()
      const trouble: Loss | Error = await this.#registerOnce(cause, signal).catch(asError)
      if (!signal.aborted) this.#tell(trouble, backoffMs)
      if (typeof trouble === 'string' && trouble !== 'stopping') cause = trouble
      this.#setRegistered(false)
      if (this.#clock.monotonic() - startedAt > goodAfterMs) backoffMs = firstBackoffMs
      const isNewKubelet = await this.#kubeletOr(backoffMs, signal)
      backoffMs = isNewKubelet ? firstBackoffMs : Math.min(backoffMs * 2, lastBackoffMs)
    }
    this.#server?.close()
  }

  /** A kubelet can be away for hours: the same trouble is told once. */
  #tell(trouble: Loss | Error, retryMs: number): void {
    const { resource, counts } = this.#options
    if (trouble instanceof Error) counts.failed(resource)
    if (typeof trouble === 'string') {
      this.#told = undefined
      this.#log.warn({ why: lostBy[trouble] }, 'registration lost, registering again')
    } else if (trouble.message !== this.#told) {
      this.#told = trouble.message
      this.#log.warn({ err: trouble, retryMs }, 'registration failed, trying again')
    }
  }

  /** Returns why the registration is no longer good. */
  async #registerOnce(cause: RegistrationCause, signal: AbortSignal): Promise<Loss> {
    const { sockets } = this.#options
    const kubelet = sockets.kubelet
    if (kubelet === undefined) throw new Error(`there is no kubelet: ${sockets.kubeletSocket} does not exist`)
    const old = this.#server
    const server = new PluginServer(this.#options)
    try {
      await server.listen()
      // Up to 1.36 a stream that ends disconnects whichever client has the resource's name by then (kubernetes#127803).
      old?.endStreams()
      // From here on it must hear of changes: the kubelet opens its stream before it answers Register (connectClient in
      // devicemanager/plugin/v1beta1/handler.go), and what it misses there it never hears of.
      this.#server = server
      await this.#register(server, signal)
      await this.#watchedBy(server, signal)
    } catch (error) {
      server.close()
      throw error
    } finally {
      old?.close()
    }
    this.#log.info({ socket: server.socketName, cause }, 'resource registered')
    this.#options.counts.registered(this.#options.resource, cause)
    this.#setRegistered(true)
    return this.#loss(server, kubelet, signal)
  }

  async #loss(server: PluginServer, kubelet: string, signal: AbortSignal): Promise<Loss> {
    const { sockets } = this.#options
    const { promise, resolve } = Promise.withResolvers<Loss>()
    const onAbort = () => resolve('stopping')
    signal.addEventListener('abort', onAbort, { once: true })
    const unguard = sockets.guard({ path: server.path, tell: () => resolve('socket_removed') })
    const unlisten = sockets.onKubelet(() => resolve('kubelet_restarted'))
    void server.abandoned.then(() => resolve('stream_ended'))
    if (sockets.kubelet !== kubelet) resolve('kubelet_restarted')
    if (signal.aborted) onAbort()
    try {
      return await promise
    } finally {
      unguard()
      unlisten()
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** A fresh client each time: one that has seen no socket waits a second before it looks again. */
  async #register({ socketName }: PluginServer, signal: AbortSignal): Promise<void> {
    const { resource, sockets } = this.#options
    const client = new devicePluginApi.Registration(`unix://${sockets.kubeletSocket}`, credentials.createInsecure())
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const request = { version: devicePluginVersion, endpoint: socketName, resourceName: resource }
    const call = client.Register(request, { deadline: Date.now() + registerDeadlineMs }, (error) => {
      if (error === null) resolve()
      else reject(new Error(`register ${resource} on ${sockets.kubeletSocket}: ${error.details}`, { cause: error }))
    })
    const cancel = () => call.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    if (signal.aborted) cancel()
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', cancel)
      client.close()
    }
  }

  async #watchedBy(server: PluginServer, signal: AbortSignal): Promise<void> {
    const late = Promise.withResolvers<never>()
    const noStream = () => late.reject(new Error('the kubelet registered the resource but does not watch its list'))
    const onAbort = () => late.reject(signal.reason)
    const cancel = this.#clock.after(watchDeadlineMs, noStream)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    try {
      await Promise.race([server.watched, late.promise])
    } finally {
      cancel()
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Waits for the backoff, or for a change of the kubelet's socket, whichever comes first; true for the latter. */
  async #kubeletOr(ms: number, signal: AbortSignal): Promise<boolean> {
    const changed = new AbortController()
    const unlisten = this.#options.sockets.onKubelet(() => changed.abort())
    await sleep(this.#clock, ms, AbortSignal.any([signal, changed.signal]))
    unlisten()
    return changed.signal.aborted
  }

  #setRegistered(is: boolean): void {
    if (this.#isRegistered === is) return
    this.#isRegistered = is
    this.#options.onChange()
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
