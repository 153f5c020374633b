// A host command ends by itself, or when its owner says so or dies, and not by Ctrl-C at the terminal of its owner.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { runCommand } from '../../sim/cluster/run-command.ts'

const folder = path.join(import.meta.dirname, '../../sim/cluster')
const goneDeadlineMs = 30_000

test('gives back what the command wrote, and throws with its words when it fails', async () => {
  assert.equal(await runCommand('cat', [], { input: 'in and out' }), 'in and out')
  await assert.rejects(runCommand('sh', ['-c', 'echo because >&2; exit 3']), /sh -c .*: ended with status 3\nbecause/)
  await assert.rejects(runCommand('/nonexistent/command', []), /nonexistent.*No such file/)
})

test('an abort ends the command and its own children before it is reported', async () => {
  const abort = new AbortController()
  let child = ''
  const onErrorLine = (line: string) => {
    child = line
    abort.abort(new Error('enough'))
  }
  const script = "sh -c 'echo $$ >&2; exec sleep 300'; true"
  await assert.rejects(runCommand('sh', ['-c', script], { signal: abort.signal, onErrorLine }), /^Error: enough$/)
  assert.match(child, /^\d+$/)
  assert.equal(runs(child), false)
})

test('Ctrl-C ends no command of a clean-up, however often', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'run-command-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const mayEnd = path.join(directory, 'may-end')
  const owner = new Owner(
    t,
    `const cleanUp = 'echo removing >&2; until [ -e ${mayEnd} ]; do sleep 0.02; done; echo removed'
    const signal = interruption(console.log)
    signal.addEventListener('abort', () => {
      runCommand('sh', ['-c', cleanUp], { onErrorLine: console.log })
        .then(console.log, console.log)
        .finally(() => process.exit(130))
    })
    setInterval(() => {}, 1000)
    console.log('at work')`,
  )
  await owner.line('at work')
  owner.kill('SIGINT')
  await owner.line('removing')
  owner.kill('SIGINT')
  await owner.line('still cleaning up; only then does this end')
  writeFileSync(mayEnd, '')
  await owner.line('removed')
  assert.equal(await owner.exitCode, 130)
})

test('a command ends with its owner', { timeout: goneDeadlineMs }, async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'run-command-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const fifo = path.join(directory, 'open-while-it-runs')
  await runCommand('mkfifo', [fifo])
  const owner = new Owner(
    t,
    `runCommand('sh', ['-c', 'exec >${fifo}; echo running >&2; exec sleep 300'], { onErrorLine: console.log })`,
  )
  const ended = text(createReadStream(fifo))
  await owner.line('running')
  owner.kill('SIGKILL')
  await ended
})

/** A process that runs commands, in a process group of its own, as a shell would start it. */
class Owner {
  readonly exitCode: Promise<number | null>
  readonly #process: ChildProcess
  readonly #lines: string[] = []
  readonly #output: ReturnType<typeof createInterface>

  constructor(t: TestContext, program: string) {
    const imports = `
      const { runCommand } = await import(${JSON.stringify(path.join(folder, 'run-command.ts'))})
      const { interruption } = await import(${JSON.stringify(path.join(folder, 'interruption.ts'))})\n`
    this.#process = spawn(process.execPath, ['--input-type=module', '--eval', imports + program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    })
    this.exitCode = once(this.#process, 'close').then(([code]) => code as number | null)
    this.#output = createInterface(this.#process.stdout ?? process.stdin)
    this.#output.on('line', (line) => this.#lines.push(line))
    t.after(() => this.#process.kill('SIGKILL'))
  }

  /** The line that begins so, written already or still to come. */
  async line(beginning: string): Promise<string> {
    for (;;) {
      const found = this.#lines.find((line) => line.startsWith(beginning))
      if (found !== undefined) return found
      const ended = this.exitCode.then((code) => {
        throw new Error(`ended with ${code} before "${beginning}":\n${this.#lines.join('\n')}`)
      })
      await Promise.race([once(this.#output, 'line'), ended])
    }
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#process.pid !== undefined) process.kill(-this.#process.pid, signal)
  }
}

/** One that has ended and was not waited for yet has no command line any more. */
function runs(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== ''
  } catch {
    return false
  }
}
