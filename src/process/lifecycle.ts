// How a program starts, stops and dies: signals abort, the first loop that fails ends all, errors are fatal and said once.
import type { Log } from './log.ts'
import { SettingsError } from './settings.ts'

type Loop = (signal: AbortSignal) => Promise<void>

/**
 * Runs all loops until one ends or a signal arrives; then stops the others and waits for them.
 * @throws the error of the loop that failed first; what the others throw while they are stopped is a consequence.
 */
export async function runTogether(signal: AbortSignal, loops: readonly Loop[]): Promise<void> {
  const stop = new AbortController()
  const both = AbortSignal.any([signal, stop.signal])
  const failures: unknown[] = []
  const running = loops.map(async (loop) => {
    // A loop that waits for the signal to abort would wait for ever.
    if (both.aborted) return
    try {
      await loop(both)
    } catch (error) {
      if (!both.aborted) failures.push(error)
    } finally {
      stop.abort()
    }
  })
  await Promise.all(running)
  if (failures.length > 0) throw failures[0]
}

/** Runs a program's main; the only place that handles signals and exits. */
export async function runProgram(log: Log, main: (signal: AbortSignal) => Promise<void>): Promise<never> {
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.once(name, () => {
      log.info({ signal: name }, 'stopping')
      stop.abort()
    })
  }
  process.on('unhandledRejection', (error) => die(log, error))
  process.on('uncaughtException', (error) => die(log, error))
  try {
    await main(stop.signal)
  } catch (error) {
    die(log, error)
  }
  process.exit(0)
}

/** A wrong setting is one plain line for the person who set it; anything else is a bug or an outage, with its stack. */
function die(log: Log, error: unknown): never {
  if (error instanceof SettingsError) process.stderr.write(`${error.message}\n`)
  else log.fatal({ err: error }, 'stopped by an error')
  process.exit(1)
}
