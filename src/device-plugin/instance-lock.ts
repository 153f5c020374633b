// One device plugin at a time on a node: two would bind and unbind the same cards and end each other's streams at the kubelet.
// The lock is an abstract unix socket (unix(7)): bind is atomic, and the kernel takes the name back when the process ends,
// however it ends, so there is no stale file to judge. Its names are those of the network namespace, and all our pods are on
// the host's (hostNetwork). Another process there could take the name first, of whatever user; the plugin then stands by and
// says so, which stops new work and harms nobody. A file in the state directory could not be taken by others, but plain Node
// has no flock, and a file left behind cannot be replaced by one of two newcomers alone.
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

import type { Log } from '../process/log.ts'

/** Between two tries, when the other's end is not seen: it may take no connection. */
const retryMs = 200
/** Those who wait hold a connection; whoever is beyond this number tries again and again. */
const waitingMaximum = 16

export class InstanceLock {
  readonly #path: string
  readonly #log: Log
  readonly #held = Promise.withResolvers<void>()
  #isHeld = false

  /** Instances that share the state directory, by whatever path they have it mounted, are one too many. */
  constructor(stateDir: string, log: Log) {
    const { dev, ino } = statSync(stateDir, { bigint: true })
    this.#path = `\0jit-eni-device-plugin/${dev}:${ino}`
    this.#log = log
  }

  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Resolves when it is this instance's turn, or the signal aborts. */
  async turn(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>()
    const onAbort = () => aborted.resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    await Promise.race([this.#held.promise, aborted.promise])
    signal.removeEventListener('abort', onAbort)
  }

  /** Waits until no other instance works, and keeps others waiting while it works itself. */
  async during(signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const taken = await this.#take(signal)
    if (taken === undefined) return
    this.#isHeld = true
    this.#held.resolve()
    try {
      await work(signal)
    } finally {
      this.#isHeld = false
      taken.release()
    }
  }

  async #take(signal: AbortSignal): Promise<TakenName | undefined> {
    let isWaiting = false
    while (!signal.aborted) {
      const server = await listen(this.#path)
      if (server !== undefined) {
        if (isWaiting) this.#log.info('the other device plugin has ended, taking over')
        return new TakenName(server)
      }
      if (!isWaiting) this.#log.warn('another device plugin works on this node; standing by until it ends')
      isWaiting = true
      await endOf(this.#path, signal)
    }
    return undefined
  }
}

/** The name, and the connections by which others learn that it is free again. */
class TakenName {
  readonly #server: Server
  readonly #waiting = new Set<Socket>()

  constructor(server: Server) {
    this.#server = server
    server.maxConnections = waitingMaximum
    // Whether the program goes on is not for the lock to say.
    server.unref()
    server.on('connection', (socket) => {
      this.#waiting.add(socket)
      socket.unref().resume()
      socket.on('error', () => undefined)
      socket.once('close', () => this.#waiting.delete(socket))
    })
  }

  release(): void {
    this.#server.close()
    for (const socket of this.#waiting) socket.destroy()
  }
}

/** undefined when somebody else has the name. */
async function listen(path: string): Promise<Server | undefined> {
  const server = createServer()
  server.listen({ path })
  try {
    await once(server, 'listening')
    return server
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined
    throw new Error('take the lock that one device plugin of a node has', { cause: error })
  }
}

/** Resolves when whoever has the name has ended, or it is time to look again. */
async function endOf(path: string, signal: AbortSignal): Promise<void> {
  const socket = connect({ path })
  const onAbort = () => socket.destroy()
  signal.addEventListener('abort', onAbort, { once: true })
  // A connection that fails is closed too.
  socket.on('error', () => undefined)
  socket.resume()
  const connectedAt = performance.now()
  const closed = Promise.withResolvers<void>()
  socket.once('close', () => closed.resolve())
  await closed.promise
  signal.removeEventListener('abort', onAbort)
  const wasRefused = performance.now() - connectedAt < retryMs
  if (wasRefused && !signal.aborted) await delay(retryMs, undefined, { signal }).catch(() => undefined)
}
