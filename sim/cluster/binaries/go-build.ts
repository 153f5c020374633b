// Builds a group from Go modules whose every dependency is pinned by the go.sum beside this program.
import path from 'node:path'
import { CommandError, runCommand } from '../run-command.ts'
import type { BinaryGroup } from './group.ts'

const progressIntervalMs = 5_000
const reportedErrorLines = 15

/** The first of the commands that is a Go that runs. */
export async function findGo(commands: readonly string[]): Promise<string | undefined> {
  for (const command of commands) {
    const version = await runCommand(command, ['version']).catch(() => undefined)
    if (version !== undefined) return command
  }
  return undefined
}

/** Puts the group's binaries into `directory`; a line of progress every few seconds. */
export async function buildGroup(
  group: BinaryGroup,
  goCommand: string,
  directory: string,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const startedAt = Date.now()
  let packages = 0
  let phase = 'modules and what Go has in its own cache'
  const onErrorLine = (line: string) => {
    const module = /^go: downloading (\S+)/.exec(line)?.[1]
    if (module !== undefined) phase = `downloading ${module}`
    if (line.startsWith('go:') || !/^\S+$/.test(line)) return
    packages += 1
    phase = `${packages} packages, at ${line}`
  }
  const progress = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAt) / 1000)
    log(`building ${group.name} ${group.version}: ${seconds} s, ${phase}`)
  }, progressIntervalMs)
  // go names a program by the last element of its package; a lone program may be called otherwise (etcd).
  const [onlyBinary, ...others] = group.binaries
  const output = others.length === 0 ? path.join(directory, onlyBinary ?? '') : `${directory}${path.sep}`
  const { flags, packages: targets, moduleDir } = group.build
  try {
    await runCommand(goCommand, ['build', '-v', '-trimpath', ...flags, '-o', output, ...targets], {
      cwd: moduleDir,
      env: buildEnvironment(),
      signal,
      onErrorLine,
    })
  } catch (error) {
    throw error instanceof CommandError ? shortened(group, error) : error
  } finally {
    clearInterval(progress)
  }
}

/**
 * The caller's own Go settings must not change the outcome. GOFLAGS is set rather than removed, because
 * an absent one is read from the file of `go env -w`.
 */
function buildEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, GOFLAGS: '-mod=readonly', GOWORK: 'off', CGO_ENABLED: '0' }
}

function shortened(group: BinaryGroup, error: CommandError): Error {
  const lines = error.stderr.trimEnd().split('\n').slice(-reportedErrorLines)
  return new Error(`building ${group.name} ${group.version} from Go modules failed:\n${lines.join('\n')}`, {
    cause: error,
  })
}
