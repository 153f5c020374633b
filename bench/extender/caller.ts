// Calls an extender as kube-scheduler does, over connections that stay open, and takes the time of each call.
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'

export interface Called {
  readonly ms: number
  readonly answer: string
}

export class Caller implements Disposable {
  readonly #url: string
  readonly #agent: Agent

  constructor(url: string, connections: number) {
    this.#url = url
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections })
  }

  /** From the call to the last byte of its answer. @throws when the answer is not 200. */
  async call(verb: string, body: string): Promise<Called> {
    const startedAt = performance.now()
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const outgoing = request(`${this.#url}/${verb}`, { agent: this.#agent, method: 'POST', headers }, resolve)
    outgoing.on('error', reject)
    outgoing.end(body)
    const response = await promise
    const answer = await text(response)
    const ms = performance.now() - startedAt
    if (response.statusCode !== 200) throw new Error(`${verb}: ${response.statusCode} ${answer.slice(0, 500)}`)
    return { ms, answer }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}
