// One of our programs as a process of its own: its log lines read as they come, ended or killed by its id.
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const stopGraceMs = 5_000
const reportedLinesMax = 15

/** A line of the program's log (src/process/log.ts). */
export interface LogLine {
  readonly time: string
  readonly program: string
  readonly msg: string
  readonly [field: string]: unknown
}

/** The TypeScript of src, or the JavaScript of dist, which is what ships (`npm run build`). */
export type ProgramCode = 'src' | 'dist'

export interface ProgramSpec {
  readonly name: string
  readonly program: 'extender' | 'attacher' | 'device-plugin'
  readonly code: ProgramCode
  readonly env: Readonly<Record<string, string>>
  readonly logFile: string
}

export class Program {
  readonly name: string
  readonly #spec: ProgramSpec
  readonly #env: Record<string, string>
  readonly #lines = new EventEmitter<{ line: [LogLine] }>()
  readonly #recent: string[] = []
  #process: ChildProcess | undefined
  #stopping = false

  constructor(spec: ProgramSpec) {
    this.name = spec.name
    this.#spec = spec
    this.#env = { ...spec.env }
    this.#lines.setMaxListeners(0)
  }

  /** Log lines of all its lives. Returns the way to stop listening. */
  onLine(listener: (line: LogLine) => void): () => void {
    this.#lines.on('line', listener)
    return () => this.#lines.off('line', listener)
  }

  /** Adds to the environment of its next lives. */
  rememberEnv(env: Readonly<Record<string, string>>): void {
    Object.assign(this.#env, env)
  }

  /** Starts it, also after `kill` or `stop`. */
  start(): void {
    const { code, program } = this.#spec
    const main = fileURLToPath(
      new URL(`../../${code}/${program}/main.${code === 'src' ? 'ts' : 'js'}`, import.meta.url),
    )
    this.#stopping = false
    // The kernel ends the program when this process dies, even by SIGKILL.
    this.#process = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, main], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream) createInterface(stream).on('line', (text) => this.#read(text))
    }
    this.#process.once('exit', (exitCode, signal) => {
      if (!this.#stopping) this.#read(`${this.name} ended by itself: ${signal ?? `exit code ${exitCode}`}`)
    })
  }

  /** Resolves with the first line, from now on, of which `matches` is true. */
  line(matches: (line: LogLine) => boolean): Promise<LogLine> {
    return new Promise((resolve) => {
      const stop = this.onLine((line) => {
        if (!matches(line)) return
        stop()
        resolve(line)
      })
    })
  }

  /** Resolves when this life has ended. */
  get exited(): Promise<unknown> {
    return this.#process === undefined || !this.running ? Promise.resolve() : once(this.#process, 'exit')
  }

  get running(): boolean {
    return this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** setpriv becomes the program, so this is its own process id. undefined while it does not run. */
  get pid(): number | undefined {
    return this.running ? this.#process?.pid : undefined
  }

  /** The last lines that it wrote, for the reader of a failed test. */
  get recentLines(): readonly string[] {
    return this.#recent
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async stop(): Promise<void> {
    if (!this.running) return
    const timer = setTimeout(() => this.#process?.kill('SIGKILL'), stopGraceMs)
    await this.#end('SIGTERM')
    clearTimeout(timer)
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#process === undefined || !this.running) return
    this.#stopping = true
    const exited = once(this.#process, 'exit')
    this.#process.kill(signal)
    await exited
  }

  #read(text: string): void {
    appendFileSync(this.#spec.logFile, `${text}\n`)
    this.#recent.push(text)
    if (this.#recent.length > reportedLinesMax) this.#recent.shift()
    if (!text.startsWith('{')) return
    this.#lines.emit('line', JSON.parse(text) as LogLine)
  }
}
