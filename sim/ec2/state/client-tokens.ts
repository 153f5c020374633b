// Idempotency of CreateNetworkInterface: the same token with the same parameters gives the first answer again, with other
// parameters a mismatch. An answer outlives its interface: a token whose ENI was deleted names that ENI still.

import { refusals } from './refusals.ts'

/** EC2 forgets a token after about 12 hours: measured by the EBS CSI driver (cloud.go, "client token"). */
const tokenLifeMs = 12 * 60 * 60 * 1000

interface Remembered<Answer> {
  readonly parameters: string
  readonly answer: Answer
  readonly forgetAt: number
}

export class ClientTokens<Answer> {
  readonly #remembered = new Map<string, Remembered<Answer>>()

  recall(token: string, parameters: string, now: number): Answer | undefined {
    const known = this.#remembered.get(token)
    if (known === undefined || known.forgetAt <= now) return undefined
    if (known.parameters !== parameters) throw refusals.tokenReused()
    return known.answer
  }

  remember(token: string, parameters: string, answer: Answer, now: number): void {
    this.#remembered.set(token, { parameters, answer, forgetAt: now + tokenLifeMs })
  }
}
