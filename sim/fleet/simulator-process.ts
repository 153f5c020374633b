// Starts a node simulator as a process of its own, and talks to it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { SimulatorCounts } from './node-simulator.ts'
import { messageSchema, settingsVariable, type SimulatorSettings } from './simulator-messages.ts'

const main = fileURLToPath(new URL('main.ts', import.meta.url))

export class SimulatorProcess {
  readonly #process: ChildProcess
  readonly #answers = new Map<number, (counts: SimulatorCounts) => void>()
  readonly #synced = Promise.withResolvers<void>()
  readonly #ended: Promise<never>
  #commands = 0

  /** Resolves when it has seen all that is there already. */
  static async start(settings: SimulatorSettings, logFile: string): Promise<SimulatorProcess> {
    const simulator = new SimulatorProcess(settings, logFile)
    await Promise.race([simulator.#synced.promise, simulator.#ended])
    return simulator
  }

  private constructor(settings: SimulatorSettings, logFile: string) {
    const log = openSync(logFile, 'a')
    // The kernel ends it when this process dies, even by SIGKILL; Ctrl-C at a terminal reaches only this process.
    this.#process = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, main], {
      env: { PATH: process.env['PATH'], [settingsVariable]: JSON.stringify(settings) },
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
    })
    closeSync(log)
    this.#process.on('message', (message) => this.#heard(message))
    this.#ended = once(this.#process, 'exit').then(([code]) => {
      throw new Error(`the node simulator has ended with status ${code}; its log is ${logFile}`)
    })
    this.#ended.catch(() => undefined)
  }

  /** The device plugins of these nodes fall silent. */
  async silence(nodeNames: readonly string[]): Promise<void> {
    await this.#command({ silence: nodeNames })
  }

  async revive(nodeNames: readonly string[]): Promise<void> {
    await this.#command({ revive: nodeNames })
  }

  counts(): Promise<SimulatorCounts> {
    return this.#command({})
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exited
  }

  #command(command: object): Promise<SimulatorCounts> {
    const id = this.#commands++
    const answered = new Promise<SimulatorCounts>((resolve) => this.#answers.set(id, resolve))
    this.#process.send({ id, ...command })
    return Promise.race([answered, this.#ended])
  }

  #heard(text: unknown): void {
    const message = messageSchema.parse(text)
    if ('synced' in message) return this.#synced.resolve()
    this.#answers.get(message.done)?.(message.counts)
    this.#answers.delete(message.done)
  }
}
