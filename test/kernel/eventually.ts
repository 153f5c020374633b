// Waits for what nobody tells of, such as a state in a guest: asks again until it is so.
import { setTimeout as delay } from 'node:timers/promises'

/** A guest that is asked more often has less of its time for what is waited for. */
const askEveryMs = 1_000
const deadlineMs = 240_000

/** `holds` may throw for as long as who is asked does not answer. @throws what it last said, when it is late. */
export async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const startedAt = Date.now()
  let cause: unknown
  while (Date.now() - startedAt < deadlineMs) {
    cause = undefined
    const answer = await holds().catch((error: unknown) => {
      cause = error
      return false
    })
    if (answer) return
    await delay(askEveryMs)
  }
  throw new Error(`still waiting for: ${what}`, { cause })
}
