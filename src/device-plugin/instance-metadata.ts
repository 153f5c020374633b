// The MAC of the instance's primary interface, from EC2's instance metadata (IMDSv2). It is one more witness: where the metadata
// cannot be reached, or is switched off, nothing is said and nothing waits for it.
import { request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

import type { Log } from '../process/log.ts'

export const instanceMetadataURL = 'http://169.254.169.254'

/** It answers within milliseconds or, beyond a hop limit or outside of EC2, never. */
const defaultDeadlineMs = 1_000
const tokenSeconds = 60
const answerMaxBytes = 1_024
const firstRetryMs = 1_000
const lastRetryMs = 5 * 60_000

export interface InstanceMetadataOptions {
  /** undefined: it is not asked. */
  readonly url: string | undefined
  readonly log: Log
  /** The MAC is known from now on. */
  readonly onKnown: () => void
  readonly deadlineMs?: number
  readonly firstRetryMs?: number
}

export class InstanceMetadata {
  readonly #options: InstanceMetadataOptions
  #primaryMac: string | undefined

  constructor(options: InstanceMetadataOptions) {
    this.#options = options
  }

  /** Lower case. It never changes, so it is asked for until there is one answer. */
  get primaryMac(): string | undefined {
    return this.#primaryMac
  }

  async run(signal: AbortSignal): Promise<void> {
    const { url } = this.#options
    if (url !== undefined) await this.#askUntilKnown(url, signal)
    await untilAborted(signal)
  }

  async #askUntilKnown(url: string, signal: AbortSignal): Promise<void> {
    const { log, onKnown } = this.#options
    let retryMs = this.#options.firstRetryMs ?? firstRetryMs
    while (this.#primaryMac === undefined && !signal.aborted) {
      try {
        this.#primaryMac = await this.#ask(url, signal)
        log.info({ mac: this.#primaryMac }, 'primary interface known from the instance metadata')
        onKnown()
      } catch (error) {
        if (signal.aborted) return
        log.debug({ err: error, retryMs }, 'instance metadata does not answer, trying again')
        await delay(retryMs, undefined, { signal }).catch(() => undefined)
        retryMs = Math.min(retryMs * 2, lastRetryMs)
      }
    }
  }

  async #ask(url: string, signal: AbortSignal): Promise<string> {
    const lifetime = { 'x-aws-ec2-metadata-token-ttl-seconds': String(tokenSeconds) }
    const token = await this.#call('PUT', `${url}/latest/api/token`, lifetime, signal)
    const mac = await this.#call('GET', `${url}/latest/meta-data/mac`, { 'x-aws-ec2-metadata-token': token }, signal)
    if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac))
      throw new Error(`${url}/latest/meta-data/mac: the answer is no MAC`)
    return mac.toLowerCase()
  }

  async #call(
    method: 'GET' | 'PUT',
    url: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<string> {
    const { deadlineMs = defaultDeadlineMs } = this.#options
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)])
    const call = request(url, { method, headers, signal: deadline, agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('latin1')
      answer.on('data', (chunk: string) => {
        text += chunk
        if (text.length > answerMaxBytes) answer.destroy(new Error(`${url}: the answer is too long`))
      })
      answer.once('error', reject)
      answer.once('end', () => {
        if (answer.statusCode === 200) resolve(text.trim())
        else reject(new Error(`${method} ${url}: status ${answer.statusCode}`))
      })
    })
    call.once('error', reject)
    call.end()
    return promise
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve(), { once: true })
  if (signal.aborted) resolve()
  return promise
}
