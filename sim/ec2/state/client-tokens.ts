// Idempotency of CreateNetworkInterface: the same token with the same parameters gives the first answer again, with other
// parameters a mismatch. An answer outlives its interface: a token whose ENI was deleted names that ENI still.

import { refusals } from './refusals.ts'

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

  remember(token: string, parameters: string, answer: Answer, forgetAt: number): void {
    this.#remembered.set(token, { parameters, answer, forgetAt })
  }
}
