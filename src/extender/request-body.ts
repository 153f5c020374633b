// Reads a request's JSON body within bounds, and says in one line what is wrong with it.
import type { IncomingMessage } from 'node:http'
import type { ZodType } from 'zod'

/** 5,000 node names are 220 KB; full Node objects would be 41 MB and are refused. */
const bodyMaxBytes = 8 * 1024 * 1024
/** Of the requests under way together; kube-scheduler sends one filter at a time, and a bind has 200 bytes. */
const bodiesMaxBytes = 8 * bodyMaxBytes
/** kube-scheduler sends a request at once and on loopback; all its scheduling waits for filter. */
const receiveDeadlineMs = 2_000
/** A body up to here cannot hold enough to hurt, and the thousands of names of an ordinary filter are not looked at twice. */
const smallBodyBytes = 1024 * 1024
/** Twice what 100,000 node names are. `[[[[...` of 8 MiB would become 400 MB of arrays. */
const valuesMax = 200_000
const messageMaxLength = 500
const [comma, bracket, brace] = Buffer.from(',[{')

/** Any other answer than 200, which to kube-scheduler is a transport error; the message is one line for its log. */
export class HttpRefusal extends Error {
  /** HTTP status. */
  readonly status: number

  constructor(status: number, message: string) {
    super(oneLine(message))
    this.status = status
  }
}

/** What the client has sent may be quoted in it. */
export function oneLine(message: string): string {
  return message.replaceAll(/\p{Cc}+/gu, ' ').slice(0, messageMaxLength)
}

interface Receiving {
  bytes: number
  readonly giveUp: (problem: HttpRefusal) => void
}

/** The bodies of one server. */
export class RequestBodies {
  /** Longest first. */
  readonly #receiving = new Set<Receiving>()
  #bytes = 0

  async read<T>(request: IncomingMessage, schema: ZodType<T>): Promise<T> {
    const parsed = schema.safeParse(parseJson(await this.#receive(request)))
    if (parsed.success) return parsed.data
    const issue = parsed.error.issues[0]
    throw new HttpRefusal(422, `body at ${issue?.path.join('.') || 'top level'}: ${issue?.message ?? 'wrong shape'}`)
  }

  async #receive(request: IncomingMessage): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
    const chunks: Buffer[] = []
    const body: Receiving = { bytes: 0, giveUp: reject }
    const take = (chunk: Buffer) => {
      chunks.push(chunk)
      this.#count(body, chunk.length)
    }
    const late = setTimeout(() => {
      reject(new HttpRefusal(408, `body did not arrive within ${receiveDeadlineMs / 1000} s`))
    }, receiveDeadlineMs)
    this.#receiving.add(body)
    request.on('data', take)
    request.once('end', () => resolve(Buffer.concat(chunks)))
    request.once('error', reject)
    try {
      return await promise
    } finally {
      clearTimeout(late)
      // Whatever still comes is dropped until the connection is closed.
      request.off('data', take).resume()
      this.#forget(body)
    }
  }

  /** Good bodies come at once, so that the one that takes longest gives way, and an ordinary filter never. */
  #count(body: Receiving, bytes: number): void {
    body.bytes += bytes
    this.#bytes += bytes
    if (body.bytes > bodyMaxBytes) return body.giveUp(tooLarge())
    const [longest] = this.#receiving
    if (this.#bytes <= bodiesMaxBytes || longest === undefined) return
    longest.giveUp(new HttpRefusal(503, `busy: the bodies of all requests are over ${bodiesMaxBytes} bytes`))
    this.#forget(longest)
  }

  #forget(body: Receiving): void {
    if (this.#receiving.delete(body)) this.#bytes -= body.bytes
  }
}

function tooLarge(): HttpRefusal {
  const advice = 'set nodeCacheCapable: true, so that nodes come by name'
  return new HttpRefusal(413, `body is over ${bodyMaxBytes} bytes: ${advice}`)
}

function parseJson(body: Buffer): unknown {
  if (body.length > smallBodyBytes && countValues(body) > valuesMax) {
    throw new HttpRefusal(413, `body has more than ${valuesMax} values`)
  }
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw new HttpRefusal(400, `body is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** What begins an array, an object or their next member; in text these count too. */
function countValues(body: Buffer): number {
  let count = 0
  for (const byte of body) if (byte === comma || byte === bracket || byte === brace) count++
  return count
}
