// The HTTP side of the extender: the four verbs of kube-scheduler's protocol and nothing else. Logical refusals are 200 with
// an Error text (anything else is a transport error to the scheduler); malformed requests are a 4xx with one line.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

import { type Demand, podDemand } from '../api/pod-demand.ts'
import { KubeError } from '../kube/kube-error.ts'
import { deadlines, limitConnections } from '../process/connection-limits.ts'
import type { Log } from '../process/log.ts'
import { type Binder, unmanaged } from './bind.ts'
import { filter } from './filter.ts'
import type { Ledger } from './ledger.ts'
import type { ExtenderMetrics } from './metrics.ts'
import { preempt } from './preempt.ts'
import { prioritize } from './prioritize.ts'
import {
  type BindingArgs,
  bindingArgsSchema,
  extenderArgsSchema,
  preemptionArgsSchema,
  type RequestPod,
} from './protocol.ts'
import { HttpRefusal, oneLine, RequestBodies } from './request-body.ts'
import type { WakeUp } from './wake-up.ts'

/** Go's transport keeps idle connections for 90 s and does not replay a POST that met a closing socket. */
const keepAliveMs = 120_000
/** Each waiting bind has a connection of its own, for minutes; of those without a request kube-scheduler keeps a few. */
const connectionLimits = { all: 10_000, waiting: 1_000 }

const verbs = ['filter', 'prioritize', 'preempt', 'bind'] as const
type Verb = (typeof verbs)[number]

interface Answer {
  readonly body: object
  readonly outcome: 'ok' | 'refused' | 'failed'
}

export interface ExtenderParts {
  readonly ledger: Ledger
  readonly binder: Binder
  readonly wakeUp: WakeUp
  readonly managed: ReadonlySet<string>
  /** What is not ready yet, in one line; undefined when all is. */
  readonly notReady: () => string | undefined
  readonly metrics: ExtenderMetrics
  readonly log: Log
}

export class ExtenderServer {
  readonly #parts: ExtenderParts
  readonly #server: Server
  readonly #bodies = new RequestBodies()

  constructor(parts: ExtenderParts) {
    this.#parts = parts
    this.#server = createServer({ ...deadlines, keepAliveTimeout: keepAliveMs }, (request, response) => {
      void this.#serve(request, response)
    })
    limitConnections(this.#server, connectionLimits)
  }

  /** Listens until the signal aborts; then ends binds in flight, whose claims stay for the retry. */
  async run(address: { readonly host: string; readonly port: number }, signal: AbortSignal): Promise<void> {
    const ended = Promise.withResolvers<void>()
    this.#server.once('error', ended.reject)
    this.#server.once('close', () => ended.resolve())
    this.#server.listen(address.port, address.host, () => {
      this.#parts.log.info({ address: this.#server.address() }, 'listening')
    })
    signal.addEventListener(
      'abort',
      () => {
        this.#server.close()
        this.#server.closeAllConnections()
      },
      { once: true },
    )
    await ended.promise
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#serveVerb(verbOf(request), request, response)
    } catch (error) {
      this.#sendError(error, request, response)
    }
  }

  async #serveVerb(verb: Verb, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { metrics } = this.#parts
    const stopTimer = metrics.callSeconds.startTimer({ verb })
    try {
      const { body, outcome } = await this.#answer(verb, request)
      metrics.outcomes.inc({ verb, outcome })
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    } catch (error) {
      metrics.outcomes.inc({ verb, outcome: 'failed' })
      throw error
    } finally {
      stopTimer()
    }
  }

  async #answer(verb: Verb, request: IncomingMessage): Promise<Answer> {
    const notReady = this.#parts.notReady()
    // On half a picture full nodes look free.
    if (notReady !== undefined) return unready(verb, notReady)
    switch (verb) {
      case 'filter':
        return this.#filter(request)
      case 'prioritize':
        return this.#prioritize(request)
      case 'preempt':
        return this.#preempt(request)
      case 'bind':
        return this.#bind(request)
    }
  }

  async #filter(request: IncomingMessage): Promise<Answer> {
    const { ledger, wakeUp, log, managed } = this.#parts
    const { Pod, NodeNames } = await this.#bodies.read(request, extenderArgsSchema)
    const { uid, namespace, name, demand } = this.#podOf(Pod)
    if (demand.size === 0) return refusedFilter(unmanaged(managed))
    const result = filter(ledger, uid, demand, NodeNames)
    if (result.NodeNames.length === 0) wakeUp.refused({ namespace, name, uid, demand })
    else wakeUp.accepted(uid)
    const counts = { asked: NodeNames.length, passed: result.NodeNames.length }
    log.info({ pod: `${namespace}/${name}`, podUID: uid, ...counts }, 'filter answered')
    return { body: result, outcome: counts.passed === 0 ? 'refused' : 'ok' }
  }

  async #prioritize(request: IncomingMessage): Promise<Answer> {
    const { Pod, NodeNames } = await this.#bodies.read(request, extenderArgsSchema)
    const { uid, demand } = this.#podOf(Pod)
    return { body: prioritize(this.#parts.ledger, uid, demand, NodeNames), outcome: 'ok' }
  }

  async #preempt(request: IncomingMessage): Promise<Answer> {
    const { Pod, NodeNameToMetaVictims } = await this.#bodies.read(request, preemptionArgsSchema)
    const { uid, demand } = this.#podOf(Pod)
    return { body: preempt(this.#parts.ledger, uid, demand, NodeNameToMetaVictims), outcome: 'ok' }
  }

  async #bind(request: IncomingMessage): Promise<Answer> {
    const hangUp = new AbortController()
    // The response of a request behind others on its connection is not told when that closes.
    const { socket } = request
    const onClose = () => hangUp.abort()
    if (socket.destroyed) onClose()
    else socket.once('close', onClose)
    try {
      return await this.#bindUntil(await this.#bodies.read(request, bindingArgsSchema), hangUp.signal)
    } finally {
      socket.off('close', onClose)
    }
  }

  async #bindUntil(args: BindingArgs, hangUp: AbortSignal): Promise<Answer> {
    const { binder, metrics, log } = this.#parts
    metrics.bindsWaiting.inc()
    try {
      const problem = await binder.bind(args, hangUp)
      if (problem === undefined) return { body: { Error: '' }, outcome: 'ok' }
      log.info({ pod: `${args.PodNamespace}/${args.PodName}`, node: args.Node, reason: problem }, 'bind refused')
      return { body: { Error: problem }, outcome: 'refused' }
    } catch (error) {
      return this.#bindFailed(args, error)
    } finally {
      metrics.bindsWaiting.dec()
    }
  }

  /** Of an answer that is not 200 the pod's event would have the number, and nothing of what we say. */
  #bindFailed({ PodNamespace, PodName, Node }: BindingArgs, error: unknown): Answer {
    if (!(error instanceof KubeError)) throw error
    this.#parts.log.warn({ pod: `${PodNamespace}/${PodName}`, node: Node, err: error }, 'bind failed at the API server')
    return {
      body: { Error: `the API server refused or did not answer, the scheduler tries again: ${error.message}` },
      outcome: 'failed',
    }
  }

  #podOf(pod: RequestPod): RequestPod['metadata'] & { readonly demand: Demand } {
    return { ...pod.metadata, demand: podDemand(pod, this.#parts.managed) }
  }

  #sendError(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    if (response.headersSent || response.destroyed) return
    if (error instanceof HttpRefusal) {
      // The rest of the body is not read: the connection cannot be used again.
      if (!request.complete) response.setHeader('connection', 'close')
      response.writeHead(error.status, { 'content-type': 'text/plain' }).end(`${error.message}\n`)
      return
    }
    this.#parts.log.error({ path: request.url, err: error }, 'request failed')
    const message = oneLine(error instanceof Error ? error.message : String(error))
    response.writeHead(500, { 'content-type': 'text/plain' }).end(`${message}\n`)
  }
}

/** Where the protocol has an Error text, the pod's owner reads the reason; elsewhere the scheduler logs it. */
function unready(verb: Verb, reason: string): Answer {
  switch (verb) {
    case 'filter':
      return refusedFilter(reason)
    case 'bind':
      return { body: { Error: reason }, outcome: 'refused' }
    case 'prioritize':
    case 'preempt':
      throw new HttpRefusal(503, reason)
  }
}

function refusedFilter(reason: string): Answer {
  return { body: { NodeNames: [], FailedAndUnresolvableNodes: {}, Error: reason }, outcome: 'refused' }
}

function verbOf(request: IncomingMessage): Verb {
  const verb = verbs.find((known) => request.url === `/${known}`)
  if (verb === undefined) {
    throw new HttpRefusal(404, `no such path: the verbs are ${verbs.map((known) => `POST /${known}`).join(', ')}`)
  }
  if (request.method !== 'POST') throw new HttpRefusal(405, `${verb} is called with POST, not ${request.method}`)
  return verb
}
