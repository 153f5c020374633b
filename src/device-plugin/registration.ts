// Keeps one resource registered with the kubelet: serve, register, watch for loss, and start over with a new server.
import { setTimeout as delay } from 'node:timers/promises'

import { credentials } from '@grpc/grpc-js'

import type { Log } from '../process/log.ts'
import { devicePluginApi, devicePluginVersion } from './kubelet-api.ts'
import type { KubeletSockets } from './kubelet-sockets.ts'
import { PluginServer, type PluginServerOptions } from './plugin-server.ts'

/** The kubelet dials back for up to 10 s before it answers Register (plugin/v1beta1/client.go). */
const registerDeadlineMs = 12_000
/** A kubelet that has registered us but opens no stream will never open one (kubernetes/kubernetes#92958). */
const watchDeadlineMs = 10_000
const firstBackoffMs = 50
const lastBackoffMs = 5_000
/** A registration that lives this long was good; the next trouble starts with the shortest backoff. */
const goodAfterMs = 10_000

export interface RegistrationOptions extends Omit<PluginServerOptions, 'directory' | 'resource'> {
  readonly directory: string
  readonly resource: string
  readonly sockets: KubeletSockets
  readonly log: Log
  /** After each change of `isRegistered`. */
  readonly onChange: () => void
}

export class Registration {
  readonly #options: RegistrationOptions
  readonly #log: Log
  #server: PluginServer | undefined
  #isRegistered = false

  constructor(options: RegistrationOptions) {
    this.#options = options
    this.#log = options.log.child({ resource: options.resource })
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
    while (!signal.aborted) {
      const startedAt = performance.now()
      try {
        const why = await this.#registerOnce(signal)
        if (!signal.aborted) this.#log.warn({ why }, 'registration lost, registering again')
      } catch (error) {
        if (!signal.aborted) this.#log.warn({ err: error, retryMs: backoffMs }, 'registration failed, trying again')
      }
      this.#setRegistered(false)
      if (performance.now() - startedAt > goodAfterMs) backoffMs = firstBackoffMs
      await this.#kubeletOr(backoffMs, signal)
      backoffMs = Math.min(backoffMs * 2, lastBackoffMs)
    }
    this.#server?.close()
  }

  /** Returns why the registration is no longer good. */
  async #registerOnce(signal: AbortSignal): Promise<string> {
    const { sockets } = this.#options
    const old = this.#server
    const server = new PluginServer(this.#options)
    const kubelet = sockets.kubelet
    try {
      await server.listen()
      // Up to 1.36 a stream that ends disconnects whichever client has the resource's name by then (kubernetes#127803).
      old?.endStreams()
      // From here on it must hear of changes: the kubelet opens its stream before it answers Register (connectClient in
      // devicemanager/plugin/v1beta1/handler.go), and what it misses there it never hears of.
      this.#server = server
      await this.#register(server, signal)
      await watchedBy(server, signal)
    } catch (error) {
      server.close()
      throw error
    } finally {
      old?.close()
    }
    this.#log.info({ socket: server.socketName }, 'resource registered')
    this.#setRegistered(true)
    return this.#loss(server, kubelet, signal)
  }

  async #loss(server: PluginServer, kubelet: string | undefined, signal: AbortSignal): Promise<string> {
    const { sockets } = this.#options
    const { promise, resolve } = Promise.withResolvers<string>()
    const onAbort = () => resolve('stopping')
    signal.addEventListener('abort', onAbort, { once: true })
    const unguard = sockets.guard({ path: server.path, tell: () => resolve('our socket was removed') })
    const unlisten = sockets.onKubelet(() => resolve('the kubelet has restarted'))
    void server.abandoned.then(() => resolve('the kubelet ended its stream'))
    if (sockets.kubelet !== kubelet) resolve('the kubelet has restarted')
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

  /** Waits for the backoff, or for a change of the kubelet's socket, whichever comes first. */
  async #kubeletOr(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const changed = new AbortController()
    const unlisten = this.#options.sockets.onKubelet(() => changed.abort())
    await delay(ms, undefined, { signal: AbortSignal.any([signal, changed.signal]) }).catch(() => undefined)
    unlisten()
  }

  #setRegistered(is: boolean): void {
    if (this.#isRegistered === is) return
    this.#isRegistered = is
    this.#options.onChange()
  }
}

async function watchedBy(server: PluginServer, signal: AbortSignal): Promise<void> {
  const done = new AbortController()
  const late = delay(watchDeadlineMs, undefined, { signal: AbortSignal.any([signal, done.signal]) }).then(
    () => {
      throw new Error('the kubelet registered the resource but does not watch its list')
    },
    () => undefined,
  )
  await Promise.race([server.watched, late])
  done.abort()
  signal.throwIfAborted()
}
