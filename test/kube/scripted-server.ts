// An HTTP server that answers as the test says, for what a well-behaved API server never does; with a kubeconfig that leads to it.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

export interface ScriptedServer {
  readonly url: string
  /** A file for `new Cluster(file)`. */
  readonly kubeconfig: string
  /** TCP connections that were opened so far. */
  readonly connections: () => number
}

export type Answer = (url: URL, request: IncomingMessage, response: ServerResponse) => void

export async function scriptedServer(t: TestContext, answer: Answer): Promise<ScriptedServer> {
  let connections = 0
  const server = createServer((request, response) => {
    answer(new URL(request.url ?? '/', 'http://localhost'), request, response)
  })
  server.on('connection', () => (connections += 1))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const directory = await mkdtemp(join(tmpdir(), 'jit-eni-scripted-'))
  t.after(async () => {
    server.close()
    server.closeAllConnections()
    await rm(directory, { recursive: true })
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, kubeconfig: await writeKubeconfig(directory, url), connections: () => connections }
}

/** JSON is YAML. Plain HTTP is spoken only to a server whose certificate need not be verified. */
export async function writeKubeconfig(directory: string, url: string): Promise<string> {
  const file = join(directory, 'kubeconfig')
  const config = {
    clusters: [{ name: 'c', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: { token: 'secret' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  }
  await writeFile(file, JSON.stringify(config))
  return file
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
