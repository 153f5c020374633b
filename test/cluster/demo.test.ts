// `make demo` tells its whole story, and Ctrl-C in the middle of it leaves nothing behind.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../sim/demo/main.ts', import.meta.url))
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

test('the demo shows every step of two pods, reuse without EC2 calls, and an empty EC2', async () => {
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
  assert.match(demo.text, /ENIs left in EC2: 2,/)
})

test('Ctrl-C ends the demo that was left running, with all that it started', async () => {
  const demo = new Demo({ KEEP: '1' })
  const line = await demo.line(/^export KUBECONFIG=/)
  const kubeconfig = line.split('=')[1] ?? ''
  assert.ok(existsSync(kubeconfig))
  demo.interrupt()
  await demo.exitCode
  assert.match(demo.text, /Cleaning up/)
  assert.ok(!existsSync(kubeconfig), 'its directory is gone, which is the last thing that goes')
})

class Demo {
  readonly lines: string[] = []
  readonly #process: ChildProcess
  readonly #output: ReturnType<typeof createInterface>

  constructor(env: Readonly<Record<string, string>>) {
    this.#process = spawn(process.execPath, [main], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#output = createInterface(this.#process.stdout ?? process.stdin)
    this.#output.on('line', (line) => this.lines.push(line))
  }

  get exitCode(): Promise<number | null> {
    return once(this.#process, 'exit').then(([code]) => code as number | null)
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
    this.#process.kill('SIGINT')
  }
}

function podOf(line: string): string {
  return /(upf-cnf-\S+)/.exec(line)?.[1] ?? ''
}
