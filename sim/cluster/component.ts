// One long-running program of the cluster: its process, its log file, and how it is waited for and ended.
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const pollIntervalMs = 50
const reportedLogLines = 15

export interface ComponentSpec {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly logFile: string
  /** True when `command` is nsenter, which forks: signals are for its child, nsenter passes none on. */
  readonly behindNsenter?: boolean
}

export class Component {
  readonly name: string
  readonly logFile: string
  /** Resolves, never rejects, with how the program ended. */
  readonly exited: Promise<string>
  readonly #process: ChildProcess
  readonly #behindNsenter: boolean
  #ending: string | undefined

  constructor(spec: ComponentSpec) {
    this.name = spec.name
    this.logFile = spec.logFile
    this.#behindNsenter = spec.behindNsenter ?? false
    const log = openSync(spec.logFile, 'a')
    // The kernel ends the program when this process dies, even by SIGKILL. Own session: Ctrl-C at a
    // terminal must reach only this process, which then stops the cluster in order.
    const args = ['--pdeathsig', 'KILL', '--', spec.command, ...spec.args]
    this.#process = spawn('setpriv', args, {
      env: spec.env,
      stdio: ['ignore', log, log],
      detached: true,
    })
    closeSync(log)
    this.exited = new Promise((resolve) => {
      this.#process.on('error', (error) => resolve(this.#ended(error.message)))
      this.#process.on('exit', (code, signal) =>
        resolve(this.#ended(signal === null ? `status ${code}` : `signal ${signal}`)),
      )
    })
  }

  get running(): boolean {
    return this.#ending === undefined
  }

  /** The process id of the program itself, in the process namespace of this process. */
  get pid(): number | undefined {
    const pid = this.#process.pid
    if (pid === undefined || !this.running) return undefined
    return this.#behindNsenter ? childOf(pid) : pid
  }

  /** Asks again until `ready` says true; throws with the end of the log when the program ends before that. */
  async waitUntil(
    what: string,
    ready: () => Promise<boolean>,
    deadlineMs: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const startedAt = Date.now()
    while (!(await ready())) {
      signal?.throwIfAborted()
      if (!this.running) throw this.failure(`ended (${this.#ending}) before it was ${what}`)
      if (Date.now() - startedAt > deadlineMs) {
        throw this.failure(`was not ${what} within ${deadlineMs / 1000} s`)
      }
      await sleep(pollIntervalMs, undefined, signal === undefined ? {} : { signal })
    }
  }

  /** SIGTERM, then SIGKILL for a program that is still there after `graceMs`. */
  async terminate(graceMs: number): Promise<void> {
    this.#send('SIGTERM')
    const grace = new AbortController()
    const late = sleep(graceMs, 'late', { signal: grace.signal }).catch(() => 'done')
    const first = await Promise.race([this.exited, late])
    grace.abort()
    if (first === 'late') await this.kill()
  }

  async kill(): Promise<void> {
    this.#send('SIGKILL')
    await this.exited
  }

  failure(reason: string): Error {
    const lines = readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-reportedLogLines)
    return new Error(`${this.name} ${reason}; the end of its log:\n${lines.join('\n')}`)
  }

  #send(signal: NodeJS.Signals): void {
    const pid = this.pid
    if (pid !== undefined) {
      sendTo(pid, signal)
      return
    }
    // nsenter has not forked yet: there is nothing behind it, so it may be ended itself.
    if (this.running) this.#process.kill('SIGKILL')
  }

  #ended(how: string): string {
    this.#ending ??= how
    return this.#ending
  }
}

function sendTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // It has ended this moment, which is what a signal to it is for.
    const gone = error instanceof Error && 'code' in error && error.code === 'ESRCH'
    if (!gone) throw error
  }
}

function childOf(parent: number): number | undefined {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    if (parentOf(entry) === parent) return Number(entry)
  }
  return undefined
}

function parentOf(pid: string): number | undefined {
  try {
    // The program's name, in parentheses, may itself hold spaces and parentheses.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}
