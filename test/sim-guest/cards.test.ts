// The cards of a guest with a real QEMU, of which the processors never start: what the guest's kernel does is not asked here.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { GuestCards } from '../../sim/guest/cards.ts'
import { type GuestMachine, primaryCard } from '../../sim/guest/machine.ts'
import { Qmp } from '../../sim/guest/qmp.ts'

const qemu = 'qemu-system-x86_64'
const skip = spawnSync(qemu, ['--version']).status === 0 ? false : `${qemu} is not installed`
const machine: GuestMachine = { bus: 'flat', vfio: 'distribution', hugepages: 0, memoryMiB: 16 }
const first = { id: 'eni-1', mac: '02:00:00:00:01:01' }
const second = { id: 'eni-2', mac: '02:00:00:00:01:02' }

test('cards that are plugged at once each get a place of their own', { skip }, async (t) => {
  const { cards } = await frozenMachine(t)
  await Promise.all([cards.plug(first), cards.plug(second)])
  assert.deepEqual(await cards.list(), [
    { ...first, bdf: '0000:00:06.0', driver: null },
    { ...second, bdf: '0000:00:07.0', driver: null },
  ])
})

test('of a card that QEMU refuses nothing is left, so that it can be plugged again', { skip }, async (t) => {
  const { cards, directory } = await frozenMachine(t)
  await assert.rejects(cards.plug({ ...first, mac: 'none' }), /QEMU does not device_add: /)
  assert.throws(() => cards.wire('none'), /no card with MAC none/)
  assert.equal(existsSync(path.join(directory, 'wire-0.0.sock')), false)
  await cards.plug(first)
  assert.deepEqual(await cards.list(), [{ ...first, bdf: '0000:00:06.0', driver: null }])
})

test('a guest that ends has let go of its cards, also of one that it was asked for', { skip }, async (t) => {
  const { cards, directory, process, qmp } = await frozenMachine(t)
  await Promise.all([cards.plug(first), cards.plug(second)])
  const asked = cards.unplug(first.mac)
  process.kill('SIGKILL')
  await asked
  await qmp.ended
  await cards.unplug(second.mac)
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.startsWith('wire')),
    [],
  )
})

async function frozenMachine(t: TestContext) {
  // Not the temporary directory of the environment: a path of a unix socket may have 107 bytes at most.
  const directory = mkdtempSync('/tmp/cards-')
  const socket = path.join(directory, 'qmp.sock')
  const args = ['-machine', 'pc', '-S', '-nodefaults', '-display', 'none', '-m', '16']
  const process = spawn(qemu, [...args, '-qmp', `unix:${socket},server=on,wait=off`], { stdio: 'inherit' })
  const ended = once(process, 'exit')
  const qmp = await connected(socket)
  const primary = { id: primaryCard, mac: '02:00:00:00:00:01' }
  const cards = new GuestCards({ name: 'frozen', machine, primary, qmp, script: async () => '' }, directory)
  t.after(async () => {
    await cards[Symbol.asyncDispose]()
    qmp.close()
    process.kill('SIGKILL')
    await ended
    rmSync(directory, { recursive: true })
  })
  return { cards, directory, process, qmp }
}

/** QEMU tells nobody that it listens. */
async function connected(socket: string): Promise<Qmp> {
  for (;;) {
    const qmp = await Qmp.connect(socket).catch(() => undefined)
    if (qmp !== undefined) return qmp
    await delay(10)
  }
}
