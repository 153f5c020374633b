// Reads a request's JSON body within bounds, and says in one line what is wrong with it.
import type { IncomingMessage } from 'node:http'
import type { ZodType } from 'zod'

/** 5,000 node names are 220 KB; full Node objects would be 41 MB and are refused. */
const bodyMaxBytes = 8 * 1024 * 1024

/** The answer to a request that is not what the protocol says. */
export class BadRequest extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export async function readBody<T>(request: IncomingMessage, schema: ZodType<T>): Promise<T> {
  const parsed = schema.safeParse(parseJson(await readText(request)))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new BadRequest(422, `body at ${issue?.path.join('.') || 'top level'}: ${issue?.message ?? 'wrong shape'}`)
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > bodyMaxBytes) {
      throw new BadRequest(
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
    throw new BadRequest(400, `body is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}
