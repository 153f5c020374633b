// Ctrl-C, and whatever else asks a program at a terminal to end, as an AbortSignal: the program undoes what it has begun, then ends.
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** For a `main.ts`. Until the program ends by itself, no further Ctrl-C ends it. */
export function interruption(say: (line: string) => void): AbortSignal {
  const interrupted = new AbortController()
  const interrupt = (signal: NodeJS.Signals) => {
    if (interrupted.signal.aborted) return say('still cleaning up; only then does this end')
    say(`${signal}: cleaning up`)
    interrupted.abort(new Error(`interrupted by ${signal}`))
  }
  // Never `once`: without a listener the next Ctrl-C would end this process in the middle of its clean-up.
  for (const signal of signals) process.on(signal, interrupt)
  // `make demo | head`: without a listener the first line that nobody reads any more would do the same.
  process.stdout.on('error', () => interrupted.abort(new Error('interrupted: nobody reads its output any more')))
  return interrupted.signal
}
