// /healthz, /readyz and /metrics over plain HTTP, for probes and Prometheus.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'

import { deadlines, limitConnections } from './connection-limits.ts'

/** Other pods may reach it, and the kubelet's probes must come through. */
const connectionLimits = { all: 256, waiting: 64 }

export interface Status {
  /** What is not well, in one line; undefined when all is. A failing liveness probe restarts the process. */
  readonly unhealthy: () => string | undefined
  /** What is not ready yet, in one line; undefined when all is. */
  readonly notReady: () => string | undefined
  readonly metrics: Registry
}

/** A server with nothing but the three paths; runs until the signal aborts. */
export async function serveStatus(
  status: Status,
  address: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<void> {
  const server = createServer(deadlines, (request, response) => {
    void answer(status, request, response)
  })
  limitConnections(server, connectionLimits)
  const ended = Promise.withResolvers<void>()
  server.once('error', ended.reject)
  server.once('close', () => ended.resolve())
  server.listen(address.port, address.host)
  const stop = () => {
    server.close()
    // Somebody who connected and asks nothing would hold up the end of the program.
    server.closeAllConnections()
  }
  signal.addEventListener('abort', stop, { once: true })
  await ended.promise
}

async function answer(status: Status, request: IncomingMessage, response: ServerResponse): Promise<void> {
  switch (request.url?.split('?')[0]) {
    case '/healthz':
      return sendCheck(response, status.unhealthy())
    case '/readyz':
      return sendCheck(response, status.notReady())
    case '/metrics':
      response.writeHead(200, { 'content-type': status.metrics.contentType })
      response.end(await status.metrics.metrics())
      return
    default:
      response.writeHead(404).end('there is /healthz, /readyz and /metrics\n')
  }
}

function sendCheck(response: ServerResponse, problem: string | undefined): void {
  response.writeHead(problem === undefined ? 200 : 503).end(`${problem ?? 'ok'}\n`)
}
