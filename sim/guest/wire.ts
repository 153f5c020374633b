// The far end of the cable of a guest's card: a unix socket to which QEMU connects for
// netdev_add {type: "stream", id, server: false, addr: {type: "unix", path}}. What is sent here, the card receives.
import { EventEmitter, once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { FrameReader, framed } from './frame-stream.ts'

const maxSocketPathBytes = 107

interface WireEvents {
  plugged: []
  unplugged: [why: Error]
  frame: [frame: Buffer]
}

/** Which frames are waited for, and how many of them. */
export interface AwaitedFrames {
  readonly count: number
  readonly matches: (frame: Buffer) => boolean
  readonly signal: AbortSignal
}

export class Wire implements AsyncDisposable {
  readonly socketPath: string
  readonly #server: Server
  readonly #events = new EventEmitter<WireEvents>()
  #card: Socket | undefined
  #whyUnplugged: Error
  #sentFrames = 0
  #receivedFrames = 0

  private constructor(socketPath: string, server: Server) {
    this.socketPath = socketPath
    this.#server = server
    this.#whyUnplugged = new Error(`no card has been plugged into ${socketPath} yet`)
    server.on('connection', (card) => this.#plug(card))
  }

  /** Resolves when QEMU can connect. Nothing may be at that path. */
  static async open(socketPath: string): Promise<Wire> {
    // Linux has 108 bytes for the path with its end (unix(7)); Node cuts a longer one and listens elsewhere.
    if (Buffer.byteLength(socketPath) > maxSocketPathBytes) {
      throw new Error(`cannot listen on ${socketPath} for a card: more than ${maxSocketPathBytes} bytes of path`)
    }
    const server = createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        reject(new Error(`cannot listen on ${socketPath} for a card: ${cause.message}`, { cause }))
      })
      server.listen(socketPath, resolve)
    })
    return new Wire(socketPath, server)
  }

  /** Frames that were handed over whole, since the start; over all cards that were plugged in one after the other. */
  get sentFrames(): number {
    return this.#sentFrames
  }

  get receivedFrames(): number {
    return this.#receivedFrames
  }

  /** Resolves when a card is plugged in. */
  async plugged(signal: AbortSignal): Promise<void> {
    if (this.#card !== undefined) return
    try {
      await once(this.#events, 'plugged', { signal })
    } catch (cause) {
      throw new Error(`no card was plugged into ${this.socketPath}`, { cause })
    }
  }

  /** Calls the listener for each frame from the card until the returned function is called. */
  onFrame(listener: (frame: Buffer) => void): () => void {
    this.#events.on('frame', listener)
    return () => this.#events.off('frame', listener)
  }

  /**
   * Resolves when the frame is handed to QEMU's socket, and that is later the slower the card is: who awaits each frame cannot send
   * faster than the card takes them. Rejects when no card is plugged in, and when it is pulled meanwhile.
   */
  send(frame: Uint8Array, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const message = framed(frame)
      const card = this.#card
      if (card === undefined) throw new Error('cannot send a frame', { cause: this.#whyUnplugged })
      const onAbort = () => {
        reject(
          new Error(`the card at ${this.socketPath} took no more frames after ${this.#sentFrames}`, {
            cause: signal?.reason,
          }),
        )
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      card.write(message, (cause) => {
        signal?.removeEventListener('abort', onAbort)
        if (cause)
          return reject(new Error(`the card at ${this.socketPath} was pulled while a frame was sent`, { cause }))
        this.#sentFrames += 1
        resolve()
      })
    })
  }

  /** Sends them one after the other, no faster than the card takes them. */
  async sendAll(frames: Iterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    for (const frame of frames) {
      await this.send(frame, signal)
    }
  }

  /**
   * Counts from the moment of the call, so it is to be called before what makes the frames come. Rejects when the card is pulled before
   * all have come, and when the signal is aborted; the error says how many had come.
   */
  frames({ count, matches, signal }: AwaitedFrames): Promise<Buffer[]> {
    return new Promise((resolve, reject) => {
      const found: Buffer[] = []
      const settle = () => {
        this.#events.off('frame', onFrame).off('unplugged', fail)
        signal.removeEventListener('abort', onAbort)
      }
      const fail = (cause: unknown) => {
        settle()
        reject(new Error(`${found.length} of ${count} frames had come at ${this.socketPath}`, { cause }))
      }
      const onAbort = () => fail(signal.reason)
      const onFrame = (frame: Buffer) => {
        if (!matches(frame)) return
        found.push(frame)
        if (found.length < count) return
        settle()
        resolve(found)
      }
      if (signal.aborted) return fail(signal.reason)
      this.#events.on('frame', onFrame).on('unplugged', fail)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Pulls the cable; the socket file goes with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#unplug(new Error(`the wire at ${this.socketPath} was ended`))
    await closed
  }

  #plug(card: Socket): void {
    // The netdev of a card that is attached again can connect before the end of the one before is seen here.
    this.#unplug(new Error(`another card was plugged into ${this.socketPath}`))
    this.#card = card
    const reader = new FrameReader()
    card.on('data', (chunk) => this.#receive(card, reader, chunk))
    // A QEMU that is killed resets the connection; what follows is the same as at an orderly end.
    card.on('error', () => {})
    card.on('close', () => {
      if (this.#card === card) this.#unplug(new Error(`the card was pulled from ${this.socketPath}`))
    })
    this.#events.emit('plugged')
  }

  #receive(card: Socket, reader: FrameReader, chunk: Uint8Array): void {
    const { frames, broken } = reader.read(chunk)
    for (const frame of frames) {
      if (this.#card !== card) return
      this.#receivedFrames += 1
      this.#events.emit('frame', frame)
    }
    if (broken === undefined || this.#card !== card) return
    this.#unplug(new Error(`what came at ${this.socketPath} are no frames`, { cause: broken }))
  }

  #unplug(why: Error): void {
    const card = this.#card
    if (card === undefined) return
    this.#card = undefined
    this.#whyUnplugged = why
    card.destroy()
    this.#events.emit('unplugged', why)
  }
}
