// A long-running program in a guest: started there in the background, known by its process id, waited for, ended.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Guest } from '../../guest/guest.ts'

/** What is asked of a guest more often takes the time of what is waited for. */
const pollIntervalMs = 300
const killedWithinMs = 60_000
const reportedLogLines = 15

export interface GuestProgramSpec {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** In a directory that the guest shares with this machine. */
  readonly logFile: string
  /** For the program's own children, the shim of a container runtime. */
  readonly searchPath: string
}

/**
 * One processor for the programs in Go: that they keep several of an emulated machine awake costs more than it gains.
 * A shell without job control makes no process groups, so setsid needs no child of its own: its process becomes the program's.
 */
const startScript = `log=$1; export GOMAXPROCS=1 PATH="$2:$PATH"; shift 2
setsid "$@" >>"$log" 2>&1 </dev/null &
echo $!`

export class GuestProgram {
  readonly #guest: Guest
  readonly #spec: GuestProgramSpec
  #pid = ''

  constructor(guest: Guest, spec: GuestProgramSpec) {
    this.#guest = guest
    this.#spec = spec
  }

  async start(): Promise<void> {
    const { command, args, logFile, searchPath } = this.#spec
    const output = await this.#guest.run('sh', ['-c', startScript, 'start', logFile, searchPath, command, ...args])
    this.#pid = output.trim()
  }

  async running(): Promise<boolean> {
    // An ended one may not have been waited for yet.
    return this.#guest.script(`read -r _ _ state _ </proc/${this.#pid}/stat; [ "$state" != Z ]`).then(
      () => true,
      () => false,
    )
  }

  /** Asks again until `ready` says true. @throws with the end of its log when it ends before that, or is late. */
  async waitUntil(
    what: string,
    ready: () => Promise<boolean>,
    deadlineMs: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const startedAt = Date.now()
    while (!(await ready())) {
      signal?.throwIfAborted()
      if (!(await this.running())) throw this.#failure(`ended before it was ${what}`)
      if (Date.now() - startedAt > deadlineMs) throw this.#failure(`was not ${what} within ${deadlineMs / 1000} s`)
      await sleep(pollIntervalMs, undefined, signal === undefined ? {} : { signal })
    }
  }

  /** Resolves when it has ended. */
  async kill(): Promise<void> {
    await this.#guest.script(`kill -KILL ${this.#pid}`)
    const startedAt = Date.now()
    while (await this.running()) {
      if (Date.now() - startedAt > killedWithinMs)
        throw this.#failure(`has not ended ${killedWithinMs / 1000} s after SIGKILL`)
      await sleep(pollIntervalMs)
    }
  }

  #failure(reason: string): Error {
    const { name, logFile } = this.#spec
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-reportedLogLines)
    return new Error(`${name} of ${this.#guest.name} ${reason}; the end of its log:\n${lines.join('\n')}`)
  }
}
