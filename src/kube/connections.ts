// The connections to the API server, over node:https: kept open and used again, with who we are. Watches have connections of their
// own, so that no number of requests can keep one from being opened.
import {
  type Agent,
  type ClientRequest,
  type IncomingMessage,
  Agent as HttpAgent,
  request as httpRequest,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { createSecureContext } from 'node:tls'

import type { Clock } from '../process/clock.ts'
import { ExecCredential, type ExecStatus } from './exec-credential.ts'
import type { ClusterAccess, Environment } from './kubeconfig.ts'
import { MaterialReader } from './material-reader.ts'

/** Below the 60 s after which some load balancers cut an idle connection, and the 90 s of the API server itself. */
const idleMs = 30_000
/** At so many requests at once, further ones wait. */
const requestSocketsMax = 64

export interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  readonly signal: AbortSignal
}

interface Identity {
  readonly authority: string | undefined
  readonly certificate: string | undefined
  readonly key: string | undefined
}

interface Agents {
  readonly identity: Identity
  readonly requests: Agent
  readonly watches: Agent
}

export class Connections {
  readonly #access: ClusterAccess
  readonly #authority: MaterialReader
  readonly #certificate: MaterialReader
  readonly #key: MaterialReader
  readonly #token: MaterialReader
  readonly #exec: ExecCredential | undefined
  #agents: Agents | undefined

  constructor(access: ClusterAccess, env: Environment, clock: Pick<Clock, 'now' | 'monotonic'>) {
    this.#access = access
    this.#authority = new MaterialReader(access.authority, clock)
    this.#certificate = new MaterialReader(access.certificate, clock)
    this.#key = new MaterialReader(access.key, clock)
    this.#token = new MaterialReader(access.token, clock)
    if (access.exec !== undefined) this.#exec = new ExecCredential(access.exec, env, clock)
  }

  /** Resolves when the head of the answer has come. */
  async send(kind: 'request' | 'watch', sent: Sent): Promise<IncomingMessage> {
    const { server } = this.#access
    const exec = await this.#exec?.get()
    const { requests, watches } = await this.#agentsNow(exec)
    const headers = { ...sent.headers, ...(await this.#authorization(exec)) }
    const options = {
      agent: kind === 'watch' ? watches : requests,
      method: sent.method,
      signal: sent.signal,
      headers: sent.body === undefined ? headers : { ...headers, 'Content-Length': Buffer.byteLength(sent.body) },
    }
    const url = new URL(server.pathname.replace(/\/$/, '') + sent.path, server)
    const request = (url.protocol === 'http:' ? httpRequest : httpsRequest)(url, options)
    const response = await answerTo(request, sent)
    // Whatever was replaced or has ended early is read anew for the next request.
    if (response.statusCode === 401) this.#forgetIdentity(exec)
    return response
  }

  #forgetIdentity(exec: ExecStatus | undefined): void {
    for (const reader of [this.#token, this.#authority, this.#certificate, this.#key]) reader.forget()
    if (exec !== undefined) this.#exec?.forget(exec)
  }

  async #authorization(exec: ExecStatus | undefined): Promise<Readonly<Record<string, string>>> {
    const { basic, impersonate } = this.#access
    const token = exec?.token ?? (await this.#token.read())
    return {
      ...(impersonate !== undefined && { 'Impersonate-User': impersonate }),
      ...(basic && { Authorization: `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}` }),
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    }
  }

  async #agentsNow(exec: ExecStatus | undefined): Promise<Agents> {
    const identity = {
      authority: await this.#authority.read(),
      certificate: exec?.clientCertificateData ?? (await this.#certificate.read()),
      key: exec?.clientKeyData ?? (await this.#key.read()),
    }
    if (this.#agents !== undefined && isSame(this.#agents.identity, identity)) return this.#agents
    const agents = this.#newAgents(identity, exec)
    // What goes on over the old connections ends by itself.
    if (this.#agents !== undefined) closeIdle(this.#agents.requests)
    this.#agents = agents
    return agents
  }

  #newAgents(identity: Identity, exec: ExecStatus | undefined): Agents {
    try {
      return {
        identity,
        requests: newAgent(this.#access, identity, requestSocketsMax),
        watches: newAgent(this.#access, identity, Infinity),
      }
    } catch (error) {
      // Of a certificate and its key one may have been replaced just before the other.
      this.#forgetIdentity(exec)
      throw error
    }
  }
}

function newAgent(access: ClusterAccess, { authority, certificate, key }: Identity, maxSockets: number): Agent {
  const { server, serverName, verifyServer, proxy } = access
  const options = {
    keepAlive: true,
    keepAliveMsecs: idleMs,
    timeout: idleMs,
    maxSockets,
    ...(proxy !== undefined && { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }),
  }
  if (server.protocol === 'http:') return new HttpAgent(options)
  return new HttpsAgent({
    ...options,
    // Made once: each would read the authorities again, and a handshake takes up the session of an earlier one.
    secureContext: createSecureContext({ ca: authority, cert: certificate, key }),
    rejectUnauthorized: verifyServer,
    ...(serverName !== undefined && { servername: serverName }),
  })
}

async function answerTo(request: ClientRequest, { body, signal }: Sent): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  request.once('response', resolve)
  // Also after the head has come: whoever reads the answer hears of it there.
  request.on('error', reject)
  // Node tells a request that has no connection yet, behind 64 others or a proxy that says nothing, only when it gets one.
  const onAbort = () => reject(new Error('aborted before it was answered', { cause: signal.reason }))
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  request.end(body)
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function isSame(one: Identity, other: Identity): boolean {
  return one.authority === other.authority && one.certificate === other.certificate && one.key === other.key
}

function closeIdle(agent: Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}
