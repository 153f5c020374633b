// The plugin is killed at every step of the life of a device in turn, and started again: each life ends as it should, and the
// pod that has another device all that time keeps it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import type { Card } from '../../sim/pci/card.ts'
import type { KillPoint } from './kill-at.ts'
import { type Program, type ProgramNode, startProgramNode } from './program-under-test.ts'

const killAt = fileURLToPath(new URL('./kill-at.ts', import.meta.url))

const logged = [
  'resource registered',
  'card seen',
  'card bound',
  'device advertised',
  'claim acknowledged',
  'device allocated',
  'device in use',
  'device no longer in use',
  'card restored',
  'card released',
]

const killPoints: readonly KillPoint[] = [
  ...logged.map((text): KillPoint => ({ when: 'after', step: `log ${text}`, time: 1 })),
  // The journal's entry first, then what containers are given.
  { when: 'before', step: 'rename', time: 1 },
  { when: 'after', step: 'rename', time: 1 },
  { when: 'before', step: 'rename', time: 2 },
  { when: 'after', step: 'rename', time: 2 },
  { when: 'after', step: 'rename', time: 3 },
  { when: 'before', step: 'rm', time: 1 },
  { when: 'after', step: 'rm', time: 1 },
  { when: 'after', step: 'rm', time: 2 },
  // Override, unbind and bind go in one message or several; then those of the restore.
  ...[1, 2, 3].map((time): KillPoint => ({ when: 'after', step: 'send', time })),
]

/** Starts the program again whenever it has died, with the next point at which it is to die. */
class Supervisor {
  readonly killed: KillPoint[] = []
  readonly #node: ProgramNode
  readonly #left = [...killPoints]
  #isOver = false
  #program: Program | undefined

  constructor(node: ProgramNode) {
    this.#node = node
  }

  get isThrough(): boolean {
    return this.killed.length === killPoints.length
  }

  /** The program that runs now. */
  get program(): Program {
    assert.ok(this.#program)
    return this.#program
  }

  start(): void {
    const point = this.#left.shift()
    const env = point === undefined ? {} : { KILL_AT: JSON.stringify(point) }
    const program = this.#node.start(env, ['--import', killAt])
    this.#program = program
    program.process.once('exit', (code, signal) => {
      if (this.#isOver) return
      assert.equal(signal, 'SIGKILL', `ended by itself with ${code}`)
      if (point !== undefined) this.killed.push(point)
      this.start()
    })
  }

  stop(): void {
    this.#isOver = true
  }
}

test('killed at any step of a device, it brings each to its end and takes none from a pod', async (t) => {
  const node = await startProgramNode(t)
  const keeperMac = '02:00:00:00:00:77'
  const first = node.start()
  await node.attach('keeper', keeperMac, 'pod-keeper')
  await node.until('keeper', (device) => device?.acknowledged === 'pod-keeper')
  assert.ok((await node.admit('pod-keeper')).admitted)
  await node.until('keeper', (device) => device?.inUseBy?.name === 'pod-keeper')
  await first.end('SIGKILL')
  const touched: string[] = []
  for (const effect of ['bound', 'unbound'] as const) {
    node.bus.effects.on(effect, (card: Card) => card.mac === keeperMac && touched.push(effect))
  }

  const supervisor = new Supervisor(node)
  t.after(() => supervisor.stop())
  supervisor.start()
  let lives = 0
  while (!supervisor.isThrough) await liveOnce(node, ++lives)
  await liveOnce(node, ++lives)
  t.diagnostic(`${supervisor.killed.length} kills in ${lives} lives of a device`)

  assert.deepEqual(touched, [], 'the card of a running pod was touched')
  assert.equal(node.device('keeper')?.inUseBy?.name, 'pod-keeper')
  assert.equal(node.driverOf(keeperMac), 'vfio-pci')
  assert.equal(Object.keys(node.journal()).length, 1)
  await supervisor.program.logged('resource registered')
  await node.kubelet.effects.until(() => node.sockets().length === 1)
  supervisor.stop()
})

/** From the ENI to its release, with a pod in between; whatever dies meanwhile. */
async function liveOnce(node: ProgramNode, life: number): Promise<void> {
  const name = `eni-${life}`
  const mac = `02:00:00:00:01:${life.toString(16).padStart(2, '0')}`
  await node.attach(name, mac, `pod-${life}`)
  await node.until(name, (device) => device?.acknowledged === `pod-${life}`)
  const pod = await admitted(node, `upf-${life}`)
  await node.until(name, (device) => device?.inUseBy?.name === pod)
  node.kubelet.endPod({ namespace: 'core', name: pod })
  node.release(name)
  await node.released(name)
  assert.equal(node.driverOf(mac), 'ena', `the card of life ${life} is not back`)
  await node.bus.unplug({ mac })
}

/** What the kubelet refuses is lost; its controller makes the next. Returns the name of the one that runs. */
async function admitted(node: ProgramNode, base: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    await node.allocatable(2)
    const name = `${base}-${attempt}`
    const pod = await node.admit(name)
    if (!pod.admitted) continue
    assert.equal(pod.devices.length, 1, `${name} runs without its device`)
    return name
  }
}
