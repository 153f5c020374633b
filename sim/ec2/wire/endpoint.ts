// The HTTP endpoint: one POST is one call. Authenticates, lets faults strike, runs the action, answers XML, writes the log.
// Token buckets and IAM rules have their place in `perform`, before the action.

import { randomUUID } from 'node:crypto'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { text } from 'node:stream/consumers'

import { Ec2Error } from '../state/ec2-error.ts'
import type { Ec2State } from '../state/ec2-state.ts'
import { refusals } from '../state/refusals.ts'

import { actions } from './actions.ts'
import type { CallLog } from './call-log.ts'
import type { Fault, Faults } from './faults.ts'
import { Parameter } from './parameter.ts'
import { type XmlElements, answerDocument, errorDocument } from './xml.ts'

const sigV4 =
  /^AWS4-HMAC-SHA256 Credential=(?<key>[^/,]+)\/\d{8}\/(?<region>[^/,]+)\/ec2\/aws4_request, ?SignedHeaders=.+Signature=[0-9a-f]{64}$/

interface Request {
  readonly id: string
  readonly action: string
  readonly form: URLSearchParams
  readonly authorization: string | undefined
}

type Answer =
  | { readonly result: XmlElements }
  | { readonly refusal: Ec2Error }
  | { readonly broken: 'reset' | 'http500' }

export function ec2Endpoint(state: Ec2State, faults: Faults, calls: CallLog): Server {
  return createServer((message, response) => {
    void answer(message, response)
  })

  async function answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await read(message)
    if (request === undefined) return
    const at = state.clock.now()
    const fault = faults.strike(request.action)
    const struck = fault?.kind === 'slow' ? undefined : fault

    if (fault?.when === 'before') await passed(fault.ms ?? 0)
    const done = struck?.when === 'before' ? undefined : perform(request)
    await passed(state.delays.answerMs)
    if (fault?.when === 'after') await passed(fault.ms ?? 0)

    const given = struck === undefined ? done : brokenBy(struck)
    calls.add({
      requestId: request.id,
      action: request.action,
      at,
      ms: state.clock.now() - at,
      accessKeyId: credential(request)?.['key'],
      parameters: Object.fromEntries(request.form),
      ...(done !== undefined && 'result' in done && !request.action.startsWith('Describe')
        ? { result: done.result }
        : {}),
      ...errorOf(given),
    })
    send(response, request, given)
  }

  function perform(request: Request): Answer {
    try {
      if (credential(request)?.['region'] !== state.region) throw refusals.notAuthenticated()
      const action = actions.get(request.action)
      if (action === undefined) throw refusals.unknownAction(request.action)
      return { result: action(Parameter.parse(request.form), state) }
    } catch (error) {
      if (error instanceof Ec2Error) return { refusal: error }
      throw error
    }
  }

  function passed(ms: number): Promise<void> {
    return new Promise((resolve) => state.later(ms, resolve))
  }
}

/** Undefined when the caller went away before it had said all. */
async function read(message: IncomingMessage): Promise<Request | undefined> {
  const body = await text(message).catch(() => undefined)
  if (body === undefined) return undefined
  const form = new URLSearchParams(body)
  const action = form.get('Action') ?? ''
  form.delete('Action')
  form.delete('Version')
  return { id: randomUUID(), action, form, authorization: message.headers.authorization }
}

/** That a signature is there and meant for EC2; whether it is right is not checked. */
function credential(request: Request): Record<string, string> | undefined {
  return sigV4.exec(request.authorization ?? '')?.groups
}

function brokenBy({ kind }: Fault): Answer | undefined {
  if (kind === 'reset' || kind === 'http500') return { broken: kind }
  if (kind === 'slow') return undefined
  return { refusal: new Ec2Error(kind.code, kind.message ?? kind.code, kind.status) }
}

function errorOf(answer: Answer | undefined): { error?: string } {
  if (answer === undefined || 'result' in answer) return {}
  return { error: 'refusal' in answer ? answer.refusal.code : answer.broken }
}

function send(response: ServerResponse, request: Request, answer: Answer | undefined): void {
  if (answer === undefined) throw new Error(`no answer to ${request.action}`)
  if ('result' in answer) return sendXml(response, 200, answerDocument(request.action, request.id, answer.result))
  if ('refusal' in answer) {
    const { code, message, status } = answer.refusal
    return sendXml(response, status, errorDocument(code, message, request.id))
  }
  if (answer.broken === 'reset') {
    response.destroy()
    return
  }
  response.writeHead(500, { 'content-type': 'text/html' }).end('<html><body>Internal Server Error</body></html>')
}

function sendXml(response: ServerResponse, status: number, document: string): void {
  response.writeHead(status, { 'content-type': 'text/xml;charset=UTF-8' }).end(document)
}
