// The machine protocol with a real QEMU, of which the processors never start.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Qmp, type QmpEvent } from '../../sim/guest/qmp.ts'

const qemu = 'qemu-system-x86_64'
const skip = spawnSync(qemu, ['--version']).status === 0 ? false : `${qemu} is not installed`

test('a command returns what QEMU returns', { skip }, async (t) => {
  const { qmp } = await frozenMachine(t)
  assert.deepEqual(await qmp.execute('query-name'), { name: 'frozen' })
})

test('commands that overlap each get their own answer', { skip }, async (t) => {
  const { qmp } = await frozenMachine(t)
  const [name, refused, kind] = await Promise.allSettled([
    qmp.execute('query-name'),
    qmp.execute('device_del', { id: 'nothing' }),
    qmp.execute('query-kvm'),
  ])
  assert.deepEqual(name, { status: 'fulfilled', value: { name: 'frozen' } })
  assert.match(String(refused.status === 'rejected' && refused.reason), /QEMU does not device_del: .*nothing/)
  assert.equal(kind.status, 'fulfilled')
})

test('events are told to who listens, until he stops', { skip }, async (t) => {
  const { qmp } = await frozenMachine(t)
  const events: QmpEvent[] = []
  const stop = qmp.onEvent((event) => events.push(event))
  await qmp.execute('system_reset')
  await qmp.execute('query-status')
  stop()
  await qmp.execute('system_reset')
  await qmp.execute('query-status')
  assert.equal(events.filter(({ event }) => event === 'RESET').length, 1)
})

test('a command is refused in words when QEMU has ended, also one that was on its way', { skip }, async (t) => {
  const { qmp, process } = await frozenMachine(t)
  // What waits for QEMU to answer when it ends.
  process.kill('SIGSTOP')
  const onItsWay = assert.rejects(qmp.execute('query-status'), /QEMU does not query-status: it has ended/)
  process.kill('SIGKILL')
  await onItsWay
  await assert.rejects(qmp.execute('query-name'), /QEMU does not query-name: it has ended/)
})

test('nobody at the socket is an error, not a wait', async () => {
  await assert.rejects(Qmp.connect('/nonexistent/qmp.sock'), /ENOENT/)
})

async function frozenMachine(t: TestContext) {
  const directory = mkdtempSync(path.join(tmpdir(), 'qmp-'))
  const socket = path.join(directory, 'qmp.sock')
  const machine = ['-machine', 'q35', '-S', '-nodefaults', '-display', 'none', '-m', '16', '-name', 'frozen']
  const qmpOption = ['-qmp', `unix:${socket},server=on,wait=off`]
  const process = spawn(qemu, [...machine, ...qmpOption], { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(process, 'exit')
  t.after(async () => {
    process.kill('SIGKILL')
    await ended
    rmSync(directory, { recursive: true })
  })
  const qmp = await connected(socket)
  t.after(() => qmp.close())
  return { qmp, process }
}

/** QEMU tells nobody that it listens. */
async function connected(socket: string): Promise<Qmp> {
  for (;;) {
    const qmp = await Qmp.connect(socket).catch(() => undefined)
    if (qmp !== undefined) return qmp
    await delay(10)
  }
}
