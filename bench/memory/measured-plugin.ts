// The device plugin as a program of its own, between an API server over TLS, a kubelet and a PCI bus, and its memory while
// devices come and go.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { type Kubelet, startKubelet } from '../../sim/kubelet/kubelet.ts'
import { pathWithNodeIp } from '../../sim/installation/node-ip.ts'
import { type PciBus, startPciBus } from '../../sim/pci/bus.ts'
import { FakeApiServer } from '../../test/kube-api/fake-api-server.ts'
import { TlsFront } from '../../test/kube-api/tls-front.ts'
import { addNode, DeviceLives, nodeName, resource } from './device-lives.ts'
import { childrenOf, memoryOf, type ProcessMemory } from './process-memory.ts'
import { freePort } from '../../test/process/free-port.ts'

const devicesAtOnce = 8

export interface Sample {
  /** Lists that the kubelet has had. */
  readonly lists: number
  /** Events of the three watches, about objects, that the API server has sent. */
  readonly watchEvents: number
  readonly program: ProcessMemory
  /** The process that writes to sysfs; undefined when there is none. */
  readonly writer: ProcessMemory | undefined
  readonly heapUsedMB: number
}

export class MeasuredPlugin {
  readonly #root: string
  readonly #api: FakeApiServer
  readonly #front: TlsFront
  readonly #bus: PciBus
  readonly #kubelet: Kubelet
  readonly #program: ChildProcess
  /** By which the program finds its node's `ip`. */
  readonly #path: string
  readonly #statusPort: number
  #lists = 0
  #watchEvents = 0

  static async start(command: readonly string[]): Promise<MeasuredPlugin> {
    // /tmp, because the path of a socket must fit 107 bytes.
    const root = mkdtempSync('/tmp/jb-')
    const api = await FakeApiServer.start()
    const front = await TlsFront.before(api.url)
    // The program asks the real `ip`, so the interfaces are real.
    const bus = await startPciBus({ root, iommu: 'vfio', primaryMac: '02:00:00:ff:ff:ff', interfaces: 'veth' })
    const path = await pathWithNodeIp(join(root, 'bin'), bus.networkNamespace, process.env['PATH'] ?? '')
    const kubelet = await startKubelet({ dir: join(root, 'k') })
    addNode({ api, kubelet, bus })
    writeKubeconfig(join(root, 'kubeconfig'), front)
    return new MeasuredPlugin(command, { root, api, front, bus, kubelet, path, statusPort: await freePort() })
  }

  private constructor(
    command: readonly string[],
    parts: {
      readonly root: string
      readonly api: FakeApiServer
      readonly front: TlsFront
      readonly bus: PciBus
      readonly kubelet: Kubelet
      readonly path: string
      readonly statusPort: number
    },
  ) {
    this.#root = parts.root
    this.#api = parts.api
    this.#front = parts.front
    this.#bus = parts.bus
    this.#kubelet = parts.kubelet
    this.#path = parts.path
    this.#statusPort = parts.statusPort
    this.#kubelet.effects.on('listed', () => (this.#lists += 1))
    for (const watched of ['nodes', 'nodeenis', 'eniattachments'] as const)
      this.#api.store(watched).onChange(() => (this.#watchEvents += 1))
    const [, ...args] = command
    this.#program = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'], env: this.#environment() })
  }

  /** Measures at the start and after each `every` lists, until the kubelet has had `lists` of them. */
  async measure(lists: number, every: number, onSample: (sample: Sample) => void): Promise<void> {
    await this.#kubelet.effects.until(() => this.#kubelet.counts().has(resource))
    onSample(await this.#sample())
    const stop = new AbortController()
    const lives = new DeviceLives({ api: this.#api, kubelet: this.#kubelet, bus: this.#bus })
    const living = lives.run(devicesAtOnce, stop.signal)
    const died = once(this.#program, 'exit').then(() => {
      if (!stop.signal.aborted) throw new Error('the device plugin has ended')
    })
    for (let next = every; next <= lists; next += every) {
      await Promise.race([this.#kubelet.effects.until(() => this.#lists >= next), living, died])
      onSample(await this.#sample())
    }
    stop.abort()
    await living
  }

  async stop(): Promise<void> {
    if (this.#program.exitCode === null && this.#program.signalCode === null) {
      this.#program.kill('SIGTERM')
      await once(this.#program, 'exit')
    }
    this.#kubelet.close()
    this.#bus.stop()
    await this.#front.stop()
    await this.#api.stop()
    rmSync(this.#root, { recursive: true, force: true })
  }

  async #sample(): Promise<Sample> {
    const pid = this.#program.pid ?? 0
    const [writer] = childrenOf(pid)
    return {
      lists: this.#lists,
      watchEvents: this.#watchEvents,
      program: memoryOf(pid),
      writer: writer === undefined ? undefined : memoryOf(writer),
      heapUsedMB: await this.#heapUsedMB(),
    }
  }

  async #heapUsedMB(): Promise<number> {
    const metrics = await fetch(`http://127.0.0.1:${this.#statusPort}/metrics`)
    const bytes = /^nodejs_heap_size_used_bytes ([0-9.e+]+)$/m.exec(await metrics.text())?.[1]
    return Number(bytes) / 2 ** 20
  }

  #environment(): Record<string, string> {
    const at = (path: string) => join(this.#root, path)
    return {
      PATH: this.#path,
      NODE_NAME: nodeName,
      JIT_ENI_RESOURCES: resource,
      KUBECONFIG: at('kubeconfig'),
      JIT_ENI_SYS: at('sys'),
      JIT_ENI_DEV: at('dev'),
      JIT_ENI_PROC: at('proc'),
      JIT_ENI_DEVICE_PLUGINS_DIR: at('k/device-plugins'),
      JIT_ENI_POD_RESOURCES_SOCKET: at('k/pod-resources/kubelet.sock'),
      JIT_ENI_STATE_DIR: at('state'),
      JIT_ENI_CDI_DIR: at('cdi'),
      JIT_ENI_DEVICE_INFO_DIR: at('devinfo'),
      JIT_ENI_STATUS_LISTEN: `127.0.0.1:${this.#statusPort}`,
    }
  }
}

function writeKubeconfig(file: string, { url, certificateFile }: TlsFront): void {
  const config = {
    clusters: [{ name: 'c', cluster: { server: url, 'certificate-authority': certificateFile } }],
    users: [{ name: 'u', user: { token: 'bench' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  }
  writeFileSync(file, JSON.stringify(config))
}
