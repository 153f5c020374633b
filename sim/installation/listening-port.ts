// The port that a program has chosen, once it says that it listens.
import { setTimeout as delay } from 'node:timers/promises'
import type { Program } from './program.ts'

const listeningDeadlineMs = 60_000

/** Starts it. @throws with the end of its log when it ends or does not listen in time; also when the signal aborts. */
export async function startListening(program: Program, signal?: AbortSignal): Promise<number> {
  const listening = program.line(({ msg }) => msg === 'listening')
  program.start()
  const { port } = (await Promise.race([listening, notListening(program, signal)]))['address'] as { port: number }
  return port
}

/** Never resolves: rejects with why the program will not listen, or when the signal aborts. */
async function notListening(program: Program, signal?: AbortSignal): Promise<never> {
  const why = await Promise.race([
    program.exited.then(() => 'ended at its start'),
    delay(listeningDeadlineMs, `does not listen after ${listeningDeadlineMs / 1000} s`, {
      ref: false,
      ...(signal && { signal }),
    }),
  ])
  throw new Error(`${program.name} ${why}; the end of its log:\n${program.recentLines.join('\n')}`)
}
