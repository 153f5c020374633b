// The program as it is deployed, between an API server and EC2 over HTTP: what it does when either is not there for it, and how it
// ends. Its lease is good for 15 seconds of real time, and given up after ten.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { type SimulatedEc2, startEc2 } from '../../sim/ec2/start-ec2.ts'
import type { NodeENI } from '../../src/api/node-eni.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import type { ApiRequest } from '../kube-api/request.ts'
import type { KubeObject } from '../kube-api/resources.ts'
import { attacherWorld, resource } from './attacher-world.ts'
import { ours } from './lab/invariants.ts'
import { NodesStandIn } from './lab/nodes-stand-in.ts'
import { Scene } from './scene.ts'

const options = { timeout: 60_000 }
const main = fileURLToPath(new URL('../../src/attacher/main.ts', import.meta.url))
/** Nothing of the machine on which the test runs. */
const bare = {
  JIT_ENI_RESOURCES: resource,
  JIT_ENI_CLUSTER: 'test-cluster',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_EC2_METADATA_DISABLED: 'true',
}
const isOfLease = ({ path }: ApiRequest) => path.includes('/leases')

class Program {
  readonly #process: ChildProcess
  readonly errors: Promise<string>

  constructor(env: Readonly<Record<string, string>>) {
    this.#process = spawn(process.execPath, [main], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...bare, ...env } })
    this.errors = text(this.#process.stderr ?? assert.fail())
    if (this.#process.stdout) createInterface(this.#process.stdout).on('line', (line) => this.#read(line))
  }

  /** Texts of its log lines, so far. */
  readonly said: string[] = []

  #read(line: string): void {
    const { msg, err } = JSON.parse(line) as { msg: string; err?: { message: string } }
    this.said.push(err === undefined ? msg : `${msg}: ${err.message}`)
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null
  }

  /** Resolves with its exit code. */
  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal !== undefined) this.#process.kill(signal)
    if (this.isRunning) await once(this.#process, 'close')
    return this.#process.exitCode
  }
}

/** An account and a cluster with one NodeENI, and programs that come and go. */
class Surroundings extends Scene {
  override readonly api: FakeApiServer
  override readonly ec2: SimulatedEc2
  readonly nodes: NodesStandIn
  readonly #programs: Program[] = []

  private constructor(api: FakeApiServer, ec2: SimulatedEc2) {
    super(api, ec2)
    this.api = api
    this.ec2 = ec2
    this.nodes = new NodesStandIn({
      scene: this,
      hasCard: ({ status }) => status?.eni?.attached === true,
      hold: () => () => undefined,
    })
    this.addNode('a1')
    this.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '0s' })
  }

  static async start(t: TestContext): Promise<Surroundings> {
    const ec2 = await startEc2({ world: attacherWorld })
    const all = new Surroundings(await FakeApiServer.start(), ec2)
    t.after(async () => {
      await Promise.all(all.#programs.map((program) => program.end('SIGKILL')))
      await all.api.stop()
      await ec2.stop()
    })
    return all
  }

  /** Starts the attacher; `env` in place of what makes it find EC2. */
  run(env: Readonly<Record<string, string>> = this.ec2.environment()): Program {
    const program = new Program({ KUBECONFIG: this.api.kubeconfig, ...env })
    this.#programs.push(program)
    return program
  }

  podComes(): void {
    this.addIntent('upf-0', this.addUnboundPod('upf-0'))
  }

  /** Resolves when EC2 has done this for the first time from now on. */
  called(action: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const off = this.ec2.calls.on((call) => {
      if (call.action !== action) return
      off()
      resolve()
    })
    return promise
  }

  served(): Promise<unknown> {
    const holds = (object: KubeObject | undefined) =>
      (object as { status?: { device?: { inUseBy?: object } } } | undefined)?.status?.device?.inUseBy !== undefined
    return this.api.until('eniattachments', 'upf-0', holds)
  }

  async condition(type: string, status: 'True' | 'False'): Promise<string> {
    const of = (object: KubeObject | undefined) =>
      (object as unknown as NodeENI | undefined)?.status?.conditions?.find((one) => one.type === type)
    const found = await this.api.until('nodeenis', 'upf', (object) => of(object)?.status === status)
    return of(found)?.message ?? ''
  }

  /** An event about the NodeENI that says so. */
  event(says: RegExp): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const isIt = ({ involvedObject, message }: KubeObject) =>
      (involvedObject as { kind: string }).kind === 'NodeENI' && says.test(String(message))
    const events = this.api.store('events')
    const look = () => events.list().some(isIt) && resolve()
    const off = events.onChange(look)
    look()
    return promise.finally(off)
  }

  /** Everything that an attacher can be asked for, and nothing is left. */
  async assertWorks(program: Program): Promise<void> {
    await this.served()
    this.endPod({ namespace: 'cnf', name: 'upf-0', uid: '' })
    await this.api.until('eniattachments', 'upf-0', (object) => object === undefined)
    assert.deepEqual(ours(this), [])
    const made = this.ec2.calls.of('CreateNetworkInterface').flatMap(({ result }) => result?.['networkInterface'] ?? [])
    assert.equal(new Set(made.map((eni) => (eni as { networkInterfaceId: string }).networkInterfaceId)).size, 1)
    assert.equal(await program.end('SIGTERM'), 0)
    const [lease = assert.fail('no lease')] = this.api.store('leases').list()
    assert.equal((lease['spec'] as { holderIdentity?: string }).holderIdentity, '', 'the next one need not wait')
  }
}

test(
  'the API server is away for longer than the lease: it ends, waits for its return, and goes on',
  options,
  async (t) => {
    const all = await Surroundings.start(t)
    const { api } = all
    const first = all.run()
    const created = all.called('CreateNetworkInterface')
    all.podComes()
    await created
    api.disturb = () => ({ when: 'before', answer: 'reset' })
    api.breakWatches()
    assert.equal(await first.end(), 1)
    assert.match(first.said.at(-1) ?? '', /^stopped by an error: lost the leader lease jit-eni-attacher$/)

    const second = all.run()
    const beganAt = api.requests.length
    const asked = Promise.withResolvers<void>()
    api.disturb = () => {
      if (api.requests.length >= beganAt + 3) asked.resolve()
      return { when: 'before', answer: 'reset' }
    }
    await asked.promise
    assert.ok(second.isRunning)
    assert.ok(api.requests.slice(beganAt).every(isOfLease), 'it asks for nothing but the lease')
    assert.equal(
      second.said.filter((line) => /^leader lease not written: .*no answer from/.test(line)).length >= 2,
      true,
    )
    api.disturb = () => undefined
    await all.assertWorks(second)
  },
)

test('no region: a setting that is missing, by its name', options, async (t) => {
  const all = await Surroundings.start(t)
  const { AWS_REGION: _, ...env } = all.ec2.environment()
  const program = all.run(env)
  assert.equal(await program.end(), 1)
  assert.match(await program.errors, /^AWS region \(AWS_REGION\): .+\n$/)
  assert.deepEqual(program.said, [])
})

test(
  'a region that does not exist: condition and event name the host that was asked, and it stays',
  options,
  async (t) => {
    const all = await Surroundings.start(t)
    const { AWS_ENDPOINT_URL: _, ...env } = all.ec2.environment()
    const program = all.run({ ...env, AWS_REGION: 'nowhere-1' })
    all.podComes()
    const says = /EC2 DescribeInstances: NoAnswer: .*ec2\.nowhere-1\.amazonaws\.com/
    assert.match(await all.condition('EC2Available', 'False'), says)
    await all.event(says)
    assert.ok(program.isRunning)
    assert.equal(await program.end('SIGTERM'), 0)
    await all.assertWorks(all.run())
  },
)

test(
  'credentials that are rejected: condition and event say so, and it goes on when they are good',
  options,
  async (t) => {
    const all = await Surroundings.start(t)
    const { sessions } = all.ec2.iam
    sessions.reject()
    const program = all.run()
    all.podComes()
    const says = /EC2 DescribeInstances: AuthFailure: /
    assert.match(await all.condition('EC2Available', 'False'), says)
    await all.event(says)
    sessions.restore()
    await all.condition('EC2Available', 'True')
    await all.assertWorks(program)
  },
)

test('no credentials: condition and event say so, and it stays', options, async (t) => {
  const all = await Surroundings.start(t)
  const { AWS_ACCESS_KEY_ID: _, AWS_SECRET_ACCESS_KEY: __, ...env } = all.ec2.environment()
  const program = all.run(env)
  const says = /EC2 DescribeInstances: NoCredentials: /
  assert.match(await all.condition('EC2Available', 'False'), says)
  await all.event(says)
  assert.ok(program.isRunning)
  assert.equal(await program.end('SIGTERM'), 0)
})
