// One call of the API from its body to its answer, whatever carried it: lets faults strike, authenticates, charges a token, asks
// IAM, runs the action, words the answer in XML, writes the log.

import { randomUUID } from 'node:crypto'

import type { Iam } from '../iam/iam.ts'
import { answerMs } from '../state/delays.ts'
import type { Duration } from '../state/duration.ts'
import { Ec2Error } from '../state/ec2-error.ts'
import type { Ec2State } from '../state/ec2-state.ts'
import { refusals } from '../state/refusals.ts'

import { actions, isActionName } from './actions.ts'
import type { CallLog } from './call-log.ts'
import type { Fault, Faults } from './faults.ts'
import { Parameter } from './parameter.ts'
import type { Throttle } from './throttle.ts'
import { type XmlElements, answerDocument, errorDocument } from './xml.ts'

export interface WireCall {
  /** The form of the query protocol. */
  readonly body: string
  /** The header of that name. */
  readonly authorization: string | undefined
}

export type WireAnswer =
  | { readonly status: number; readonly contentType: string; readonly document: string }
  /** The connection breaks. */
  | 'reset'
  /** The connection stays and nothing comes: the caller must give up. */
  | 'no-answer'

const sigV4 =
  /^AWS4-HMAC-SHA256 Credential=(?<key>[^/,]+)\/\d{8}\/(?<region>[^/,]+)\/ec2\/aws4_request, ?SignedHeaders=.+Signature=[0-9a-f]{64}$/

interface Request {
  readonly id: string
  readonly action: string
  readonly form: URLSearchParams
  readonly authorization: string | undefined
}

type Outcome =
  | { readonly result: XmlElements }
  | { readonly refusal: Ec2Error }
  | { readonly broken: 'reset' | 'no-answer' | 'http500' }

export interface ServiceParts {
  readonly state: Ec2State
  readonly throttle: Throttle
  readonly iam: Iam
  readonly faults: Faults
  readonly calls: CallLog
}

export class Ec2Service {
  readonly #state: Ec2State
  readonly #throttle: Throttle
  readonly #iam: Iam
  readonly #faults: Faults
  readonly #calls: CallLog

  constructor({ state, throttle, iam, faults, calls }: ServiceParts) {
    this.#state = state
    this.#throttle = throttle
    this.#iam = iam
    this.#faults = faults
    this.#calls = calls
  }

  async handle(call: WireCall): Promise<WireAnswer> {
    const request = read(call)
    const at = this.#state.clock.now()
    const fault = this.#faults.strike(request.action)
    const struck = fault?.kind === 'slow' ? undefined : fault

    if (fault?.when === 'before') await this.#passed(fault.ms ?? 0)
    const done = struck?.when === 'before' ? undefined : this.#perform(request)
    await this.#passed(answerMs(this.#state.delays, request.action))
    if (fault?.when === 'after') await this.#passed(fault.ms ?? 0)

    const given = struck === undefined ? done : brokenBy(struck)
    if (given === undefined) throw new Error(`no answer to ${request.action}`)
    this.#calls.add({
      requestId: request.id,
      action: request.action,
      at,
      ms: this.#state.clock.now() - at,
      accessKeyId: credential(request)?.['key'],
      parameters: Object.fromEntries(request.form),
      ...(done !== undefined && 'result' in done && !request.action.startsWith('Describe')
        ? { result: done.result }
        : {}),
      ...errorOf(given),
    })
    return worded(request, given)
  }

  #perform(request: Request): Outcome {
    try {
      const { key, region } = credential(request) ?? {}
      if (key === undefined || region !== this.#state.region) throw refusals.notAuthenticated()
      if (!isActionName(request.action)) throw refusals.unknownAction(request.action)
      this.#throttle.charge(request.action, Parameter.parse(request.form))
      this.#iam.check(key, request.action, Parameter.parse(request.form))
      return { result: actions[request.action](Parameter.parse(request.form), this.#state) }
    } catch (error) {
      if (error instanceof Ec2Error) return { refusal: error }
      throw error
    }
  }

  #passed(ms: Duration): Promise<void> {
    return new Promise((resolve) => this.#state.later(ms, resolve))
  }
}

function read({ body, authorization }: WireCall): Request {
  const form = new URLSearchParams(body)
  const action = form.get('Action') ?? ''
  form.delete('Action')
  form.delete('Version')
  return { id: randomUUID(), action, form, authorization }
}

/** That a signature is there and meant for EC2; whether it is right is not checked. */
function credential(request: Request): Record<string, string> | undefined {
  return sigV4.exec(request.authorization ?? '')?.groups
}

function brokenBy({ kind }: Fault): Outcome | undefined {
  if (kind === 'slow') return undefined
  if (typeof kind === 'string') return { broken: kind }
  return { refusal: new Ec2Error(kind.code, kind.message ?? kind.code, kind.status) }
}

function errorOf(outcome: Outcome): { error?: string } {
  if ('result' in outcome) return {}
  return { error: 'refusal' in outcome ? outcome.refusal.code : outcome.broken }
}

function worded(request: Request, outcome: Outcome): WireAnswer {
  if ('result' in outcome) return xml(200, answerDocument(request.action, request.id, outcome.result))
  if ('refusal' in outcome) {
    const { code, message, status } = outcome.refusal
    return xml(status, errorDocument(code, message, request.id))
  }
  if (outcome.broken !== 'http500') return outcome.broken
  return { status: 500, contentType: 'text/html', document: '<html><body>Internal Server Error</body></html>' }
}

function xml(status: number, document: string): WireAnswer {
  return { status, contentType: 'text/xml;charset=UTF-8', document }
}
