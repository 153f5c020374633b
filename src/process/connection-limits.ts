// What one server gives its connections: some time to ask, to send and to hear, and a bounded number of them. Whoever takes more is
// closed, so that broken and hostile clients take nothing from the others.
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** From the first byte of a head on; a new connection has as long to send one. */
const headDeadlineMs = 2_000
/** Head and body; behind the deadlines that a server has for its bodies. */
const requestDeadlineMs = 5_000
/** Node looks for requests that are late at these intervals, by itself only twice a minute. */
const lookEveryMs = 500
/** From the end of an answer until its client has taken it. */
const answerDeadlineMs = 5_000
/** Requests under way on one connection. More than one is legal, but nobody who means well sends many. */
const pipelinedMax = 4

/** What is late is answered with 408 and closed, by Node. */
export const deadlines: ServerOptions = {
  headersTimeout: headDeadlineMs,
  requestTimeout: requestDeadlineMs,
  connectionsCheckingInterval: lookEveryMs,
}

export interface ConnectionLimits {
  /** In all; beyond it, new ones are closed at once. */
  readonly all: number
  /** On which no request is under way; beyond it, the one that has waited longest is closed, so that whoever asks is served. */
  readonly waiting: number
}

export function limitConnections(server: Server, limits: ConnectionLimits): void {
  server.maxConnections = limits.all
  const connections = new Connections(limits.waiting)
  // Of a TLS server: the connection below.
  server.on('connection', (socket: Socket) => connections.opened(socket))
  // Before the one who answers, who may do so at once.
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    connections.asked(socket, response)
    response.once('prefinish', () => {
      const late = setTimeout(() => socket.destroy(), answerDeadlineMs).unref()
      response.once('close', () => clearTimeout(late))
    })
  })
}

/** By the address and port of their other end, since a TLS socket does not tell on which one it stands. */
class Connections {
  readonly #waitingMax: number
  readonly #open = new Map<string, Socket>()
  /** Longest first. */
  readonly #waiting = new Set<string>()
  readonly #underWay = new Map<string, number>()

  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax
  }

  opened(socket: Socket): void {
    const peer = peerOf(socket)
    this.#open.set(peer, socket)
    socket.once('close', () => {
      this.#open.delete(peer)
      this.#waiting.delete(peer)
      this.#underWay.delete(peer)
    })
    this.#wait(peer)
  }

  asked(socket: Socket, response: ServerResponse): void {
    const peer = peerOf(socket)
    const count = (this.#underWay.get(peer) ?? 0) + 1
    if (count > pipelinedMax) return void socket.destroy()
    this.#underWay.set(peer, count)
    this.#waiting.delete(peer)
    response.once('close', () => this.#answered(peer))
  }

  #answered(peer: string): void {
    const left = (this.#underWay.get(peer) ?? 1) - 1
    if (left > 0) return void this.#underWay.set(peer, left)
    this.#underWay.delete(peer)
    if (this.#open.has(peer)) this.#wait(peer)
  }

  #wait(peer: string): void {
    this.#waiting.add(peer)
    const [longest] = this.#waiting
    if (this.#waiting.size > this.#waitingMax && longest !== undefined) this.#open.get(longest)?.destroy()
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
