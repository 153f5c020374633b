// Runs one host command to its end. Arguments are always an array: nothing passes through a shell.
import { spawn } from 'node:child_process'

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly input?: string
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
 * Runs the command and gives back what it wrote to standard output.
 * Throws CommandError when it cannot be started or does not end with status 0.
 */
export function runCommand(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { env, cwd, input = '', signal, onErrorLine } = options
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...(env !== undefined && { env }),
      ...(cwd !== undefined && { cwd }),
      ...(signal !== undefined && { signal }),
    })
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
      if (code === 0) return resolve(stdout)
      reject(new CommandError(command, args, `ended with ${endedBy ?? `status ${code}`}`, stderr))
    })
    // A command that ends without reading its input closes the pipe; its exit status tells the story.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}
