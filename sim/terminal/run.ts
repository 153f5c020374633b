// A program at a terminal around one installation: starts it, does its work with it, removes it whatever happens meanwhile, and says
// at the end only what is true.
import { once } from 'node:events'
import { LeftBehind } from '../cluster/clean-up.ts'
import type { Program } from '../installation/program.ts'
import type { Narrator } from './narrator.ts'

const reportedLines = 5
const exitCodes = { done: 0, interrupted: 130, failed: 1 } as const

/** What this needs of an Installation. */
interface Started {
  programs(): readonly Pick<Program, 'name' | 'recentLines'>[]
  stop(): Promise<void>
}

export class TerminalRun {
  readonly #say: Narrator
  readonly #signal: AbortSignal
  #ending: keyof typeof exitCodes = 'done'
  #remains: readonly string[] = []

  /** The signal is that of Ctrl-C. */
  constructor(say: Narrator, signal: AbortSignal) {
    this.#say = say
    this.#signal = signal
  }

  /** Resolves with the exit code. Work that does not throw has come to its normal end, also by Ctrl-C. */
  async run<T extends Started>(start: () => Promise<T>, work: (started: T) => Promise<void>): Promise<number> {
    try {
      const started = await this.#start(start())
      await this.#work(started, work)
      this.#say.chapter('Cleaning up')
      await this.#say.during('all that was started is ended and removed', started.stop())
    } catch (error) {
      // A start that fails undoes itself; what it could not undo comes together with the failure.
      if (error instanceof SuppressedError) this.#note(error.suppressed)
      this.#note(error instanceof SuppressedError ? error.error : error)
    }
    return this.#end()
  }

  async #start<T>(starting: Promise<T>): Promise<T> {
    await this.#say.during('the cluster starts', Promise.race([starting, once(this.#signal, 'abort')]))
    return this.#say.during('what has begun is undone', starting)
  }

  async #work<T extends Started>(started: T, work: (started: T) => Promise<void>): Promise<void> {
    try {
      await work(started)
    } catch (error) {
      this.#note(error)
      if (this.#ending === 'failed') this.#tellLogs(started)
    }
  }

  #note(error: unknown): void {
    if (error instanceof LeftBehind) {
      this.#remains = error.remains
      return
    }
    this.#ending = this.#signal.aborted ? 'interrupted' : 'failed'
    if (this.#ending === 'failed') this.#say.line(`\nfailed: ${error instanceof Error ? error.message : String(error)}`)
  }

  /** Now, as their files go with everything else. */
  #tellLogs(started: Started): void {
    for (const { name, recentLines } of started.programs()) {
      this.#say.line([`\nthe end of the log of ${name}:`, ...recentLines.slice(-reportedLines)].join('\n'))
    }
  }

  #end(): number {
    if (this.#remains.length === 0) {
      this.#say.line(`${this.#ending} after ${this.#say.seconds} s; everything is removed`)
      return exitCodes[this.#ending]
    }
    this.#say.line(['not everything is removed; the next start tries it again:', ...this.#remains].join('\n'))
    return exitCodes.failed
  }
}
