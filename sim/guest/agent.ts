// The way into a guest: commands with input, output and status, and connections to its unix sockets. agent.sh is the other end.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { CommandError } from '../cluster/run-command.ts'

const deadlineMs = 60_000

export interface GuestCommandOptions {
  readonly input?: string
  readonly signal?: AbortSignal | undefined
}

export interface AgentAddress {
  readonly host: string
  readonly port: number
  readonly token: string
}

export class Agent {
  readonly #address: AgentAddress
  /** By their sockets here. */
  readonly #tunnels = new Map<string, Server>()

  constructor(address: AgentAddress) {
    this.#address = address
  }

  /**
   * What the command writes to standard output in the guest. @throws CommandError when it cannot be started, ends with another status
   * than 0, does not end within a minute, or when the guest ends.
   */
  async run(command: string, args: readonly string[], options: GuestCommandOptions = {}): Promise<string> {
    const words = [command, ...args]
    return this.#outputOf(words.map(quoted).join(' '), words, options)
  }

  /** The same of commands for `sh`, which ends at the first that fails. @throws CommandError */
  async script(text: string, options: GuestCommandOptions = {}): Promise<string> {
    return this.#outputOf(`(\nset -e\n${text}\n)`, ['sh', '-ec', text], options)
  }

  /** Of the shell's `script`; the words are what an error calls it. */
  async #outputOf(
    script: string,
    [command = '', ...args]: readonly string[],
    { input = '', signal }: GuestCommandOptions,
  ): Promise<string> {
    const end = `end-${randomBytes(8).toString('hex')}`
    const socket = this.#open([
      `${script} 2>"$errors"`,
      'status=$?',
      `printf '\\n${end} %s\\n' $status`,
      '[ $status = 0 ] || cat "$errors"',
    ])
    socket.end(input)
    const deadline = AbortSignal.timeout(deadlineMs)
    const either = signal === undefined ? deadline : AbortSignal.any([deadline, signal])
    const giveUp = () => socket.destroy()
    either.addEventListener('abort', giveUp, { once: true })
    // Then there is no event any more.
    if (either.aborted) giveUp()
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    await once(socket, 'close').catch(() => undefined)
    either.removeEventListener('abort', giveUp)
    signal?.throwIfAborted()
    const output = Buffer.concat(chunks).toString()
    const [, stdout = '', status, stderr = ''] = new RegExp(`^([^]*)\\n${end} (\\d+)\\n([^]*)$`).exec(output) ?? []
    if (status === '0') return stdout
    const late = `did not end within ${deadlineMs / 1000} s`
    const how = status === undefined ? (deadline.aborted ? late : 'the guest has closed the connection') : undefined
    throw new CommandError(command, args, `in the guest: ${how ?? `ended with status ${status}`}`, stderr || output)
  }

  /** Serves `localSocket` until `close`, or until it is to lead elsewhere: each connection to it is one to the guest's `socketInGuest`. */
  async tunnel(localSocket: string, socketInGuest: string): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (near) => {
      const far = this.#open([`exec socat -t 86400 - ${quoted(`UNIX-CONNECT:${socketInGuest}`)}`])
      near.pipe(far).pipe(near)
      near.on('error', () => far.destroy()).on('close', () => far.destroy())
      far.on('error', () => near.destroy()).on('close', () => near.destroy())
    })
    this.#tunnels.get(localSocket)?.close()
    rmSync(localSocket, { force: true })
    server.listen(localSocket)
    await once(server, 'listening')
    this.#tunnels.set(localSocket, server)
  }

  close(): void {
    for (const server of this.#tunnels.values()) server.close()
    this.#tunnels.clear()
  }

  #open(commands: readonly string[]): Socket {
    const { host, port, token } = this.#address
    const socket = connect({ host, port, allowHalfOpen: true })
    const lines = commands.join('\n').split('\n')
    socket.write([token, lines.length, ...lines, ''].join('\n'))
    return socket
  }
}

/** As one word for the guest's shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}
