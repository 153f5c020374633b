// Runs one host command to its end. Arguments are always an array: nothing passes through a shell.
import { spawn } from 'node:child_process'

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly input?: string
  /** Aborting interrupts the command and its own children, as Ctrl-C at a terminal would. */
  readonly signal?: AbortSignal | undefined
  /** Called for each line of standard error, as it comes. */
  readonly onErrorLine?: (line: string) => void
}

/** A command that ended with another status than 0, or could not be started. */
export class CommandError extends Error {
  readonly stderr: string

  constructor(command: string, args: readonly string[], reason: string, stderr: string) {
    super(`${command} ${args.join(' ')}: ${reason}${stderr === '' ? '' : `\n${stderr.trimEnd()}`}`)
    this.name = 'CommandError'
    this.stderr = stderr
  }
}

/**
 * Runs the command and gives back what it wrote to standard output. Settles only when the command has ended: throws CommandError
 * when it cannot be started or does not end with status 0, and the signal's reason when it was aborted.
 */
export function runCommand(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { env, cwd, input = '', signal, onErrorLine } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    // The kernel ends the command when this process dies, even by SIGKILL. Own session: Ctrl-C at a terminal must reach only this
    // process, or it would end the commands of its clean-up as well.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
      ...(env !== undefined && { env }),
      ...(cwd !== undefined && { cwd }),
      detached: true,
    })
    const interrupt = () => interruptGroup(child.pid)
    signal?.addEventListener('abort', interrupt, { once: true })
    let stdout = ''
    let stderr = ''
    let unfinishedLine = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
      const lines = (unfinishedLine + text).split('\n')
      unfinishedLine = lines.pop() ?? ''
      if (onErrorLine !== undefined) lines.forEach(onErrorLine)
    })
    child.on('error', (error) => reject(new CommandError(command, args, error.message, stderr)))
    child.on('close', (code, endedBy) => {
      signal?.removeEventListener('abort', interrupt)
      if (code === 0) return resolve(stdout)
      if (signal?.aborted) return reject(signal.reason)
      reject(new CommandError(command, args, `ended with ${endedBy ?? `status ${code}`}`, stderr))
    })
    // A command that ends without reading its input closes the pipe; its exit status tells the story.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

function interruptGroup(leader: number | undefined): void {
  if (leader === undefined) return
  try {
    process.kill(-leader, 'SIGINT')
  } catch (error) {
    // It has ended this moment, and its output is still being read.
    const gone = error instanceof Error && 'code' in error && error.code === 'ESRCH'
    if (!gone) throw error
  }
}
