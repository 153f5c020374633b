// How a rival program calls the simulated EC2: with the SDK, through the service, under a role of its own that may do everything.

import { EC2 } from '@aws-sdk/client-ec2'

import { inProcess } from '../in-process.ts'
import type { Ec2 } from '../new-ec2.ts'

/** Has EC2's code, or the name of what broke on the way. */
export class CallFailed extends Error {
  readonly code: string

  constructor(code: string, cause: unknown) {
    super(code, { cause })
    this.name = 'CallFailed'
    this.code = code
  }
}

export interface CallerIdentity {
  readonly accessKeyId: string
  readonly role: string
}

export class Ec2Caller {
  readonly #client: EC2

  constructor(ec2: Ec2, { accessKeyId, role }: CallerIdentity, requestTimeoutMs: number) {
    ec2.iam.addCaller({ accessKeyId, role })
    this.#client = new EC2({ ...inProcess(ec2, { accessKeyId, requestTimeoutMs }), maxAttempts: 1 })
  }

  /** A program that is gone neither sends a call nor hears its answer. @throws CallFailed, or the signal's reason */
  async call<Answer>(signal: AbortSignal, send: (client: EC2) => Promise<Answer>): Promise<Answer> {
    signal.throwIfAborted()
    const [outcome] = await Promise.allSettled([send(this.#client)])
    signal.throwIfAborted()
    if (outcome.status === 'fulfilled') return outcome.value
    throw new CallFailed((outcome.reason as Error).name, outcome.reason)
  }

  /** True, or undefined when the call failed otherwise than with `asGood`. */
  async succeeds(
    signal: AbortSignal,
    send: (client: EC2) => Promise<unknown>,
    asGood?: string,
  ): Promise<true | undefined> {
    try {
      await this.call(signal, send)
      return true
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error
      return error.code === asGood ? true : undefined
    }
  }
}
