// The extender from dist beside an API double, with its log in a file: whoever measures must not spend its time reading it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { freePort } from '../../test/process/free-port.ts'
import { ExtenderStatus } from './extender-status.ts'

const main = fileURLToPath(new URL('../../dist/extender/main.js', import.meta.url))

export interface ExtenderProcessOptions {
  readonly kubeconfig: string
  readonly resources: readonly string[]
  readonly logFile: string
}

export class ExtenderProcess {
  readonly url: string
  readonly #process: ChildProcess

  /** Resolves when its caches have synced. */
  static async start(options: ExtenderProcessOptions): Promise<ExtenderProcess> {
    const status = await ExtenderStatus.onFreePort()
    const extender = new ExtenderProcess(options, await freePort(), status.env)
    await Promise.race([status.ready(), extender.#endsEarly(options.logFile)])
    return extender
  }

  private constructor(options: ExtenderProcessOptions, port: number, env: Readonly<Record<string, string>>) {
    const { kubeconfig, resources, logFile } = options
    const log = openSync(logFile, 'a')
    // The kernel ends it when this process dies, even by SIGKILL.
    this.#process = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, main], {
      env: {
        PATH: process.env['PATH'],
        KUBECONFIG: kubeconfig,
        JIT_ENI_RESOURCES: resources.join(','),
        JIT_ENI_LISTEN: `127.0.0.1:${port}`,
        // For --cpu-prof: profile first, then optimise.
        NODE_OPTIONS: process.env['EXTENDER_NODE_OPTIONS'] ?? '',
        ...env,
      },
      stdio: ['ignore', log, log],
      detached: true,
    })
    closeSync(log)
    this.url = `http://127.0.0.1:${port}`
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGTERM')
    await exited
  }

  async #endsEarly(logFile: string): Promise<never> {
    const [code] = await once(this.#process, 'exit')
    throw new Error(`the extender has ended with status ${code}; its log is ${logFile}`)
  }
}
