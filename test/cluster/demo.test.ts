// `make demo` tells its whole story, and Ctrl-C at any moment of it, even twice, leaves nothing behind.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { machineState, runDirectoriesOf, tracesOf, tracesOfBlock } from './machine-traces.ts'

const main = fileURLToPath(new URL('../../sim/demo/main.ts', import.meta.url))
const skip = process.getuid?.() === 0 ? false : 'needs root'
const steps = [
  'created',
  'filter: 2 of 2 nodes can have its ENI',
  'bind called for',
  'ENI created in EC2',
  'EC2 says attached',
  'card seen on the node',
  'card bound to its driver: vfio-pci',
  'advertised to the kubelet',
  'Binding',
  'Allocate: the kubelet takes',
  'Running',
]

test('the demo shows every step of two pods, reuse without EC2 calls, and an empty EC2', { skip }, async () => {
  const demo = new Demo({})
  assert.equal(await demo.exitCode, 0, demo.text)
  const perPod = Map.groupBy(
    demo.lines.filter((line) => /^ *\+\d+ ms {2}upf-cnf-/.test(line)),
    podOf,
  )
  assert.equal(perPod.size, 4, 'two pods, twice')
  for (const [pod, lines] of [...perPod].slice(0, 2)) {
    for (const step of steps)
      assert.ok(
        lines.some((line) => line.includes(step)),
        `${pod}: ${step}\n${lines.join('\n')}`,
      )
  }
  assert.match(demo.text, /PCIDEVICE_INTEL_COM_UPF_DATAPLANE=0000:00:/)
  assert.match(demo.text, /EC2 calls that change something, in this round: 0/)
  assert.equal(demo.lines.filter((line) => line.endsWith('which was idle')).length, 2)
  assert.match(demo.text, /ENIs left in EC2: 2,/)
  assert.match(demo.lines.at(-1) ?? '', /^done after \d+ s; everything is removed$/)
})

const interruptions = [
  { moment: 'while the cluster starts', at: /^control plane ready/, env: {}, exitCode: 130, end: /^interrupted / },
  { moment: 'in the middle of an attach', at: /ENI created in EC2/, env: {}, exitCode: 130, end: /^interrupted / },
  { moment: 'when it was left running', at: /^alias kubectl=/, env: { KEEP: '1' }, exitCode: 0, end: /^done / },
]

for (const { moment, at, env, exitCode, end } of interruptions) {
  test(`Ctrl-C ${moment} removes all that was started`, { skip }, async () => {
    const machineBefore = machineState()
    const demo = new Demo(env)
    await demo.line(at)
    const [runDir] = runDirectoriesOf(demo.pid)
    const [server] = demo.lines.flatMap((line) => /https:\S+/.exec(line) ?? [])
    assert.ok(runDir !== undefined && server !== undefined, demo.text)
    assert.notDeepEqual(tracesOf(runDir), [])
    assert.notDeepEqual(tracesOfBlock(server), [])

    const heard = demo.line(/^SIGINT: cleaning up$/)
    demo.interrupt()
    await heard
    demo.interrupt()

    assert.equal(await demo.exitCode, exitCode, demo.text)
    assert.match(demo.text, /^still cleaning up/m)
    assert.match(demo.lines.at(-1) ?? '', end)
    assert.match(demo.lines.at(-1) ?? '', /everything is removed$/)
    assert.deepEqual(tracesOf(runDir), [])
    assert.deepEqual(tracesOfBlock(server), [])
    assert.deepEqual(machineState(), machineBefore)
  })
}

/** In a process group of its own, as a shell starts it: Ctrl-C at a terminal goes to the whole group. */
class Demo {
  readonly lines: string[] = []
  readonly exitCode: Promise<number | null>
  readonly #process: ChildProcess
  readonly #output: ReturnType<typeof createInterface>

  constructor(env: Readonly<Record<string, string>>) {
    this.#process = spawn(process.execPath, [main], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    })
    this.exitCode = once(this.#process, 'close').then(([code]) => code as number | null)
    this.#output = createInterface(this.#process.stdout ?? process.stdin)
    this.#output.on('line', (line) => this.lines.push(line))
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  get text(): string {
    return this.lines.join('\n')
  }

  /** The first line that matches, from now on. */
  async line(pattern: RegExp): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    this.#output.on('line', (line) => {
      if (pattern.test(line)) resolve(line)
    })
    this.#output.once('close', () => reject(new Error(`the demo ended without ${pattern.source}:\n${this.text}`)))
    return promise
  }

  interrupt(): void {
    if (this.pid !== undefined) process.kill(-this.pid, 'SIGINT')
  }
}

function podOf(line: string): string {
  return /(upf-cnf-\S+)/.exec(line)?.[1] ?? ''
}
