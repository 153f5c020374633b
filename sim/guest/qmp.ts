// QEMU's machine protocol: commands, their answers and events, a JSON object a line over a unix socket (QEMU, docs/interop/qmp-spec).
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { z } from 'zod'

/** QEMU answers at once, or is stuck. */
const answerDeadlineMs = 60_000

const eventSchema = z.object({ event: z.string(), data: z.record(z.string(), z.unknown()).default({}) })
const answerSchema = z.object({
  id: z.number(),
  return: z.unknown().optional(),
  error: z.object({ class: z.string(), desc: z.string() }).optional(),
})

/** `DEVICE_DELETED`, `RESET` and so on, with what it is about. */
export type QmpEvent = z.infer<typeof eventSchema>

/** QEMU refuses a command, does not answer, or has ended. */
export class QmpError extends Error {
  constructor(command: string, reason: string) {
    super(`QEMU does not ${command}: ${reason}`)
    this.name = 'QmpError'
  }
}

interface Pending {
  readonly command: string
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: QmpError) => void
}

export class Qmp {
  /** Resolves when QEMU has ended, or `close` was called. */
  readonly ended: Promise<void>
  readonly #socket: Socket
  readonly #pending = new Map<number, Pending>()
  readonly #listeners = new Set<(event: QmpEvent) => void>()
  #lastId = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    const lines = createInterface(socket)
    lines.on('line', (line) => this.#read(line))
    // Its end says the same.
    lines.on('error', () => {})
    this.ended = new Promise((resolve) => {
      socket.on('close', () => {
        // First: who waits for both is told of the end, not of what it has prevented.
        resolve()
        this.#end()
      })
    })
  }

  /** @throws when nobody listens at the socket. */
  static async connect(socketPath: string): Promise<Qmp> {
    const socket = connect(socketPath)
    await once(socket, 'connect')
    const qmp = new Qmp(socket)
    // Until then QEMU takes no other command.
    await qmp.execute('qmp_capabilities')
    return qmp
  }

  /** What the command returns. @throws QmpError */
  execute(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    if (this.#socket.destroyed) return Promise.reject(new QmpError(command, 'it has ended'))
    const id = ++this.#lastId
    this.#pending.set(id, { command, resolve, reject })
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    const timer = setTimeout(() => {
      this.#pending.delete(id)
      reject(new QmpError(command, `no answer within ${answerDeadlineMs / 1000} s`))
    }, answerDeadlineMs)
    return promise.finally(() => clearTimeout(timer))
  }

  /** Returns the way to stop listening. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    this.#socket.destroy()
  }

  #read(line: string): void {
    const message: unknown = JSON.parse(line)
    const event = eventSchema.safeParse(message)
    if (event.success) return this.#listeners.forEach((listener) => listener(event.data))
    const answer = answerSchema.safeParse(message)
    // The greeting has no id.
    if (!answer.success) return
    const { id, error, return: value } = answer.data
    const asked = this.#pending.get(id)
    this.#pending.delete(id)
    if (error === undefined) asked?.resolve(value)
    else asked?.reject(new QmpError(asked.command, `${error.desc} (${error.class})`))
  }

  #end(): void {
    for (const { command, reject } of this.#pending.values()) reject(new QmpError(command, 'it has ended'))
    this.#pending.clear()
  }
}
