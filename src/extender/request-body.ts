// Reads a request's JSON body within bounds, and says in one line what is wrong with it.
import type { IncomingMessage } from 'node:http'
import type { ZodType } from 'zod'

/** 5,000 node names are 220 KB; full Node objects would be 41 MB and are refused. */
const bodyMaxBytes = 8 * 1024 * 1024
/** kube-scheduler sends a request at once and on loopback; all its scheduling waits for filter. */
const receiveDeadlineMs = 2_000

/** Any other answer than 200, which to kube-scheduler is a transport error; the message is one line for its log. */
export class HttpRefusal extends Error {
  /** HTTP status. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export async function readBody<T>(request: IncomingMessage, schema: ZodType<T>): Promise<T> {
  const parsed = schema.safeParse(parseJson(await textInTime(request)))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new HttpRefusal(422, `body at ${issue?.path.join('.') || 'top level'}: ${issue?.message ?? 'wrong shape'}`)
}

async function textInTime(request: IncomingMessage): Promise<string> {
  const late = Promise.withResolvers<never>()
  const problem = new HttpRefusal(408, `body did not arrive within ${receiveDeadlineMs / 1000} s`)
  const timer = setTimeout(() => late.reject(problem), receiveDeadlineMs)
  try {
    return await Promise.race([readText(request), late.promise])
  } finally {
    clearTimeout(timer)
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bodyMaxBytes) {
      throw new HttpRefusal(
        413,
        `body is over ${bodyMaxBytes} bytes: set nodeCacheCapable: true, so that nodes come by name`,
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new HttpRefusal(400, `body is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}
