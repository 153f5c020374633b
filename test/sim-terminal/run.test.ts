// How a program at a terminal ends: its exit code, and a last word that is true.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CleanUp, LeftBehind } from '../../sim/cluster/clean-up.ts'
import { Narrator } from '../../sim/terminal/narrator.ts'
import { TerminalRun } from '../../sim/terminal/run.ts'

class Terminal {
  readonly interrupted = new AbortController()
  text = ''
  readonly #run = new TerminalRun(
    new Narrator((text) => {
      this.text += text
    }),
    this.interrupted.signal,
  )

  run(start: () => Promise<Installation>, work: () => Promise<void>): Promise<number> {
    return this.#run.run(start, work)
  }

  get lastLine(): string {
    return this.text.trimEnd().split('\n').at(-1) ?? ''
  }
}

class Installation {
  stops = 0
  readonly #stop: () => Promise<void>

  constructor(stop: () => Promise<void> = () => Promise.resolve()) {
    this.#stop = stop
  }

  programs() {
    return [{ name: 'attacher', recentLines: ['{"msg":"attach failed"}'] }]
  }

  stop(): Promise<void> {
    this.stops += 1
    return this.#stop()
  }
}

const work = () => Promise.resolve()
const leavesAnAddress = () => Promise.reject(new LeftBehind([new Error('ip address delete 198.18.0.1/32: failed')]))

test('done', async () => {
  const terminal = new Terminal()
  const installation = new Installation()
  assert.equal(await terminal.run(async () => installation, work), 0)
  assert.equal(installation.stops, 1)
  assert.match(terminal.lastLine, /^done after 0 s; everything is removed$/)
})

test('work that fails: its message without a stack, where to look, and then the clean-up', async () => {
  const terminal = new Terminal()
  const installation = new Installation()
  const fails = () => Promise.reject(new Error('waited 120 s in vain for this: two pods are Running'))
  assert.equal(await terminal.run(async () => installation, fails), 1)
  assert.equal(installation.stops, 1)
  assert.match(terminal.text, /^failed: waited 120 s in vain for this: two pods are Running$/m)
  assert.match(terminal.text, /the end of the log of attacher:\n\{"msg":"attach failed"\}[^]*Cleaning up/)
  assert.doesNotMatch(terminal.text, /^ +at /m)
  assert.match(terminal.lastLine, /^failed after 0 s; everything is removed$/)
})

test('work that Ctrl-C ends', async () => {
  const terminal = new Terminal()
  const installation = new Installation()
  const untilInterrupted = async () => {
    terminal.interrupted.abort(new Error('interrupted by SIGINT'))
    terminal.interrupted.signal.throwIfAborted()
  }
  assert.equal(await terminal.run(async () => installation, untilInterrupted), 130)
  assert.equal(installation.stops, 1)
  assert.doesNotMatch(terminal.text, /failed/)
  assert.match(terminal.lastLine, /^interrupted after 0 s; everything is removed$/)
})

test('a start that Ctrl-C ends', async () => {
  const terminal = new Terminal()
  const start = async () => {
    terminal.interrupted.abort(new Error('interrupted by SIGINT'))
    return terminal.interrupted.signal.throwIfAborted() ?? new Installation()
  }
  assert.equal(await terminal.run(start, work), 130)
  assert.match(terminal.lastLine, /^interrupted after 0 s; everything is removed$/)
})

test('a start that fails', async () => {
  const terminal = new Terminal()
  assert.equal(await terminal.run(() => Promise.reject(new Error('the kubelet ended')), work), 1)
  assert.match(terminal.text, /^failed: the kubelet ended$/m)
})

test('a clean-up that leaves something says what, and never that all is removed', async () => {
  const terminal = new Terminal()
  assert.equal(await terminal.run(async () => new Installation(leavesAnAddress), work), 1)
  assert.match(terminal.text, /not everything is removed[^]*ip address delete 198\.18\.0\.1\/32: failed/)
  assert.doesNotMatch(terminal.text, /everything is removed$/m)
})

test('so does one after Ctrl-C in the middle of a start, which shows no other failure', async () => {
  const terminal = new Terminal()
  const start = async (): Promise<Installation> => {
    await using cleanUp = new CleanUp()
    cleanUp.defer(leavesAnAddress)
    terminal.interrupted.abort(new Error('interrupted by SIGINT'))
    throw terminal.interrupted.signal.reason
  }
  assert.equal(await terminal.run(start, work), 1)
  assert.match(terminal.text, /not everything is removed[^]*ip address delete 198\.18\.0\.1\/32: failed/)
  assert.doesNotMatch(terminal.text, /everything is removed$|^failed/m)
})
