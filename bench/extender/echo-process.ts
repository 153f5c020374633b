// The echo server as a process, until it is disposed of.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('echo-server.ts', import.meta.url))

export class EchoProcess implements Disposable {
  readonly url: string
  readonly #process: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#process = child
    this.url = `http://127.0.0.1:${port}`
  }

  /** Binds with this kubeconfig, if there is one. */
  static async start(kubeconfig?: string): Promise<EchoProcess> {
    const args = [main, ...(kubeconfig === undefined ? [] : [kubeconfig])]
    // The kernel ends it when this process dies, even by SIGKILL.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    })
    const ended = once(child, 'exit').then(() => {
      throw new Error('the echo server has ended')
    })
    ended.catch(() => undefined)
    const [{ port }] = (await Promise.race([once(child, 'message'), ended])) as [{ port: number }]
    return new EchoProcess(child, port)
  }

  [Symbol.dispose](): void {
    this.#process.kill('SIGKILL')
  }
}
