// The way into a guest, with its far end on this machine: agent.sh behind socat, as a guest runs it.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { CommandError } from '../../sim/cluster/run-command.ts'
import { Agent } from '../../sim/guest/agent.ts'
import { freePort } from '../process/free-port.ts'

const script = fileURLToPath(new URL('../../sim/guest/agent.sh', import.meta.url))
const skip = spawnSync('socat', ['-V']).status === 0 ? false : 'socat is not installed'

describe('the agent of a guest', { skip }, () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'agent-'))
  const token = 'the-token'
  let socat: ReturnType<typeof spawn>
  let port: number
  let agent: Agent
  before(async () => {
    port = await freePort()
    writeFileSync(path.join(directory, 'agent-token'), token)
    const listen = `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork`
    socat = spawn('socat', [listen, `EXEC:/bin/sh ${script},nofork`], {
      env: { ...process.env, NODE_DIR: directory, ERRORS_DIR: directory },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    agent = new Agent({ host: '127.0.0.1', port, token })
    // socat tells nobody that it listens.
    while ((await agent.run('echo', ['here']).catch(() => '')) === '') await delay(10)
  })
  after(async () => {
    agent.close()
    socat.kill()
    if (socat.exitCode === null && socat.signalCode === null) await once(socat, 'exit')
    rmSync(directory, { recursive: true })
  })

  it('gives back what a command writes, and nothing else', async () => {
    assert.equal(
      await agent.run('printf', ['%s|', 'a b', "it's", '$HOME', '*', '\\n', 'two\nlines', '']),
      "a b|it's|$HOME|*|\\n|two\nlines||",
    )
    assert.equal(await agent.run('true', []), '')
    assert.equal(await agent.run('sh', ['-c', 'echo out; echo err >&2']), 'out\n')
  })

  it('hands a command its input, and its end', async () => {
    const input = 'x'.repeat(1_000_000)
    assert.equal(await agent.run('wc', ['-c'], { input }), '1000000\n')
    assert.equal(await agent.run('cat', []), '')
  })

  it('says what a failed command said, and its status', async () => {
    await assert.rejects(agent.run('sh', ['-c', 'echo why >&2; exit 7']), (error) => {
      assert.ok(error instanceof CommandError)
      assert.match(error.message, /^sh -c .*: in the guest: ended with status 7\nwhy$/s)
      assert.equal(error.stderr, 'why\n')
      return true
    })
    await assert.rejects(agent.run('no-such-program', []), /ended with status 127\n.*not found/s)
  })

  it('runs a script to its first command that fails', async () => {
    assert.equal(await agent.script('read -r line\necho "$line" # twice\necho "$line"', { input: 'in\n' }), 'in\nin\n')
    await assert.rejects(agent.script('echo out\nfalse\ntouch never'), /^CommandError: sh -ec echo out.* status 1/s)
  })

  it('is done with a script that leaves a program running', async (t) => {
    const pid = await agent.script('sleep 60 </dev/null >/dev/null 2>&1 & echo $!')
    t.after(() => process.kill(Number(pid)))
  })

  it('runs several at once', async () => {
    const numbers = [...Array(8).keys()].map(String)
    assert.deepEqual(
      await Promise.all(numbers.map((number) => agent.run('echo', [number]))),
      numbers.map((number) => `${number}\n`),
    )
  })

  it('gives a command up when its signal aborts', async () => {
    const abort = new AbortController()
    const running = agent.run('sleep', ['60'], { signal: abort.signal })
    abort.abort(new Error('enough'))
    await assert.rejects(running, /enough/)
  })

  it('gives a command up at once whose signal has aborted before', async () => {
    const signal = AbortSignal.abort(new Error('too late'))
    await assert.rejects(agent.run('sleep', ['60'], { signal }), /too late/)
  })

  it('runs nothing without the token', async () => {
    const file = path.join(directory, 'touched')
    const stranger = new Agent({ host: '127.0.0.1', port, token: 'another' })
    await assert.rejects(stranger.run('touch', [file]), /closed the connection/)
    assert.equal(existsSync(file), false)
  })

  it('leads from a socket here to one there, both ways, and lets go of it', async (t) => {
    const [near, far] = [path.join(directory, 'near'), path.join(directory, 'far')]
    const shouting = createServer({ allowHalfOpen: true }, (socket) => {
      let heard = ''
      socket.on('data', (chunk: Buffer) => (heard += chunk.toString()))
      socket.on('end', () => socket.end(heard.toUpperCase()))
    })
    t.after(() => shouting.close())
    shouting.listen(far)
    await once(shouting, 'listening')
    await agent.tunnel(near, far)
    const caller = connect({ path: near, allowHalfOpen: true })
    caller.end('hello')
    assert.equal(await text(caller), 'HELLO')
    agent.close()
    assert.equal(existsSync(near), false)
  })
})
