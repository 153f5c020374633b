// The program as it is deployed, between an API server, a kubelet and a PCI bus; it may be killed and started again at will.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { type Claim, type DeviceStatus, type ENIAttachment, newAttachment } from '../../src/api/eni-attachment.ts'
import { apiVersion } from '../../src/api/names.ts'
import { type Kubelet, startKubelet } from '../../sim/kubelet/kubelet.ts'
import { pathWithNodeIp } from '../../sim/installation/node-ip.ts'
import { type PciBus, startPciBus } from '../../sim/pci/bus.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import { instanceID, resource } from './cluster-in-memory.ts'
import type { LogLine } from './node-under-test.ts'

const main = fileURLToPath(new URL('../../src/device-plugin/main.ts', import.meta.url))

const labelled = { name: 'node-a', labels: { upf: 'yes' } }
const unclaimed = { nodeENI: 'upf', nodeName: 'node-a', instanceID, resourceName: resource }

export async function startProgramNode(t: TestContext): Promise<ProgramNode> {
  const root = mkdtempSync('/tmp/jm-')
  const api = await FakeApiServer.start()
  // The program asks the real `ip`, so the interfaces are real.
  const bus = await startPciBus({ root, iommu: 'vfio', primaryMac: '02:00:00:00:00:01', interfaces: 'veth' })
  const path = await pathWithNodeIp(join(root, 'bin'), bus.networkNamespace, process.env['PATH'] ?? '')
  const kubelet = await startKubelet({ dir: join(root, 'k') })
  const node = new ProgramNode({ root, api, kubelet, bus, path })
  t.after(() => node.close())
  api.store('nodes').create({ metadata: labelled, spec: { providerID: `aws:///eu-central-1a/${instanceID}` } })
  api.store('nodeenis').create({
    apiVersion,
    kind: 'NodeENI',
    metadata: { name: 'upf' },
    spec: {
      nodeSelector: { upf: 'yes' },
      subnetID: 'subnet-1',
      securityGroupIDs: ['sg-1'],
      enableDPDK: true,
      dpdkResourceName: resource,
    },
  })
  return node
}

interface NodeParts {
  readonly root: string
  readonly api: FakeApiServer
  readonly kubelet: Kubelet
  readonly bus: PciBus
  /** By which the program finds its node's `ip`. */
  readonly path: string
}

export class ProgramNode {
  readonly root: string
  readonly api: FakeApiServer
  readonly kubelet: Kubelet
  readonly bus: PciBus
  readonly #path: string
  readonly #programs: Program[] = []

  constructor(parts: NodeParts) {
    this.root = parts.root
    this.api = parts.api
    this.kubelet = parts.kubelet
    this.bus = parts.bus
    this.#path = parts.path
  }

  start(env: Readonly<Record<string, string>> = {}, nodeArguments: readonly string[] = []): Program {
    const { root } = this
    const child = spawn(process.execPath, [...nodeArguments, main], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: this.#path,
        NODE_NAME: 'node-a',
        JIT_ENI_RESOURCES: resource,
        KUBECONFIG: this.api.kubeconfig,
        JIT_ENI_SYS: join(root, 'sys'),
        JIT_ENI_DEV: join(root, 'dev'),
        JIT_ENI_PROC: join(root, 'proc'),
        JIT_ENI_DEVICE_PLUGINS_DIR: join(root, 'k/device-plugins'),
        JIT_ENI_POD_RESOURCES_SOCKET: join(root, 'k/pod-resources/kubelet.sock'),
        JIT_ENI_CDI_DIR: join(root, 'cdi'),
        JIT_ENI_DEVICE_INFO_DIR: join(root, 'devinfo'),
        JIT_ENI_STATE_DIR: join(root, 'state'),
        JIT_ENI_INSTANCE_METADATA: 'off',
        ...env,
      },
    })
    const program = new Program(child)
    this.#programs.push(program)
    return program
  }

  /** An ENI for this pod, whose card is plugged. */
  async attach(name: string, mac: string, podUID: string): Promise<string> {
    const claim: Claim = { namespace: 'core', name: podUID, uid: podUID }
    this.api.store('eniattachments').create({
      ...(newAttachment(name, { ...unclaimed, claim }) as { readonly metadata: object }),
      status: { phase: 'Attaching', eni: { eniID: `eni-${name}`, mac } },
    })
    const { bdf } = await this.bus.plug({ mac, eniId: `eni-${name}`, deviceIndex: 1 })
    return bdf
  }

  device(name: string): DeviceStatus | undefined {
    return deviceOf(this.api.store('eniattachments').get(name))
  }

  /** Resolves when the status of the object's device is so; undefined for one that has none or is gone. */
  async until(name: string, is: (device: DeviceStatus | undefined) => boolean): Promise<void> {
    await this.api.until('eniattachments', name, (object) => is(deviceOf(object)))
  }

  /** Nobody claims it any more, and it is to be released. */
  release(name: string): void {
    this.api.store('eniattachments').update(name, (object) => ({ ...object, spec: unclaimed }))
    this.api.store('eniattachments').delete(name)
  }

  async released(name: string): Promise<void> {
    await this.api.until('eniattachments', name, (object) => (object?.metadata.finalizers?.length ?? 0) < 2)
  }

  async admit(name: string) {
    return this.kubelet.admit({ namespace: 'core', name, resource, count: 1 })
  }

  /** Resolves when the kubelet can give out so many devices. */
  async allocatable(count: number): Promise<void> {
    const { kubelet } = this
    await kubelet.effects.until(() => kubelet.counts().get(resource)?.allocatable === count)
  }

  /** Resolves when the kubelet has been asked who holds what once more, and the answer has come. */
  async looked(): Promise<void> {
    await once(this.kubelet.effects, 'pods-listed')
  }

  sockets(): readonly string[] {
    return readdirSync(join(this.root, 'k/device-plugins')).filter((name) => name.startsWith('jit-eni-'))
  }

  /** Names and texts of the journal's files. */
  journal(): Readonly<Record<string, string>> {
    const directory = join(this.root, 'state/cards')
    return Object.fromEntries(
      readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), 'utf8')] as const),
    )
  }

  driverOf(mac: string): string | null | undefined {
    return this.bus.cards().find((card) => card.mac === mac)?.driver
  }

  async close(): Promise<void> {
    for (const program of this.#programs) await program.end('SIGKILL')
    this.kubelet.close()
    this.bus.stop()
    await this.api.stop()
    rmSync(this.root, { recursive: true, force: true })
  }
}

export class Program {
  readonly process: ChildProcess
  readonly lines: LogLine[] = []
  /** performance.now() at its spawn. */
  readonly startedAt = performance.now()
  readonly #waiting = new Set<() => void>()

  constructor(child: ChildProcess) {
    this.process = child
    if (child.stdout === null) throw new Error('its output is not read')
    createInterface(child.stdout).on('line', (line) => {
      this.lines.push(JSON.parse(line) as LogLine)
      for (const check of this.#waiting) check()
    })
  }

  get hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  has(msg: string): boolean {
    return this.lines.some((line) => line.msg === msg)
  }

  /** Resolves when it has logged this text. */
  async logged(msg: string): Promise<LogLine> {
    const { promise, resolve } = Promise.withResolvers<LogLine>()
    const check = () => {
      const line = this.lines.find((found) => found.msg === msg)
      if (line !== undefined) resolve(line)
    }
    this.#waiting.add(check)
    check()
    return promise.finally(() => this.#waiting.delete(check))
  }

  /** Resolves with its exit code. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.hasEnded) {
      this.process.kill(signal)
      await once(this.process, 'exit')
    }
    return this.process.exitCode
  }
}

function deviceOf(object: unknown): DeviceStatus | undefined {
  return (object as ENIAttachment | undefined)?.status?.device
}
