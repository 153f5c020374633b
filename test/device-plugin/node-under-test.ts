// A node with the device plugin on it: the simulated PCI bus, the stand-in kubelet, and a cluster in memory.
import assert from 'node:assert/strict'
import { constants, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

import { pino } from 'pino'

import { type Kubelet, startKubelet } from '../../sim/kubelet/kubelet.ts'
import { type PciBus, type PciBusOptions, startPciBus } from '../../sim/pci/bus.ts'
import type { IommuMode } from '../../sim/pci/vfio-driver.ts'
import { allowedDevices, enaDevices } from '../../src/device-plugin/allowed-devices.ts'
import { AllocationRecords } from '../../src/device-plugin/allocation-record.ts'
import { CdiSpecs } from '../../src/device-plugin/cdi-specs.ts'
import { type MonotonicClock, systemClock } from '../../src/device-plugin/monotonic-clock.ts'
import { type ControlWrites, WriterProcess } from '../../src/device-plugin/control-writes.ts'
import { DeviceInfoFiles } from '../../src/device-plugin/device-info.ts'
import { DevicePlugin } from '../../src/device-plugin/device-plugin.ts'
import type { HostLinks } from '../../src/device-plugin/host-links.ts'
import { Journal } from '../../src/device-plugin/journal.ts'
import type { Topology } from '../../src/device-plugin/numa-node.ts'
import type { ClusterState } from '../../src/device-plugin/node-demand.ts'
import { PodResourcesClient } from '../../src/device-plugin/pod-resources.ts'
import type { Status } from '../../src/process/status-server.ts'
import { ClusterInMemory, resource } from './cluster-in-memory.ts'

export const primaryMac = '02:00:00:00:00:01'

export interface NodeOptions {
  readonly iommu?: IommuMode
  /** Stands between the plugin and the writer process. */
  readonly controlWrites?: (real: ControlWrites) => ControlWrites
  /** Stands between the plugin and the node's interfaces. */
  readonly links?: (real: HostLinks) => HostLinks
  /** Real network interfaces in a network namespace of this node alone, instead of such in memory. */
  readonly interfaces?: 'simulated' | 'veth'
  /** Whether udev renames interfaces, and how long after they appear. */
  readonly udev?: Pick<PciBusOptions, 'rename' | 'renameDelayMs'>
  readonly settleDeadlineMs?: number
  /** What the instance metadata would say. */
  readonly primaryMac?: string
  readonly podSourceDelayMs?: number
  readonly deviceInjection?: 'cdi' | 'device-nodes'
  readonly topology?: Topology
  readonly clock?: MonotonicClock
  /** Stands between the plugin and what its watches show. */
  readonly state?: (real: ClusterState) => ClusterState | undefined
  /** After which a call of PodResources is given up. */
  readonly podResourcesDeadlineMs?: number
  readonly resources?: readonly string[]
}

export interface LogLine {
  readonly msg: string
  readonly [key: string]: unknown
}

export async function startNode(t: TestContext, options: NodeOptions = {}): Promise<NodeUnderTest> {
  // /tmp, because the path of a socket must fit 107 bytes.
  const root = mkdtempSync('/tmp/jp-')
  const bus = await startPciBus({
    root: join(root),
    iommu: options.iommu ?? 'vfio',
    primaryMac,
    interfaces: options.interfaces ?? 'simulated',
    ...options.udev,
  })
  const { podSourceDelayMs = 0 } = options
  const kubelet = await startKubelet({ dir: join(root, 'k'), cdiDir: join(root, 'cdi'), podSourceDelayMs })
  const node = new NodeUnderTest(root, bus, kubelet, options)
  t.after(() => node.close())
  return node
}

export class NodeUnderTest {
  readonly root: string
  readonly bus: PciBus
  readonly kubelet: Kubelet
  readonly cluster = new ClusterInMemory()
  /** Of the next plugin. */
  deviceInjection: 'cdi' | 'device-nodes'
  readonly log: LogLine[] = []
  readonly #logWaiters = new Set<() => void>()
  readonly #passWaiters = new Set<() => void>()
  readonly #options: NodeOptions
  readonly #writer = new WriterProcess()
  #stop = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #plugin: DevicePlugin | undefined

  constructor(root: string, bus: PciBus, kubelet: Kubelet, options: NodeOptions) {
    this.root = root
    this.bus = bus
    this.kubelet = kubelet
    this.#options = options
    this.deviceInjection = options.deviceInjection ?? 'cdi'
    this.cluster.onChange(() => this.#plugin?.poke())
    this.#writer.warmUp()
  }

  async startPlugin(): Promise<void> {
    const log = pino({ level: 'debug' }, { write: (line: string) => this.#keep(line) })
    const bootID = readFileSync(join(this.root, 'proc/sys/kernel/random/boot_id'), 'utf8').trim()
    const journal = new Journal(join(this.root, 'state'), bootID, log)
    await journal.load()
    const specs = new CdiSpecs(this.cdiDir, log)
    await specs.load()
    const infos = new DeviceInfoFiles(this.deviceInfoDir, log)
    await infos.load(this.resources)
    const records = new AllocationRecords(join(this.root, 'allocations'), log)
    await records.load()
    const plugin = new DevicePlugin({
      settings: {
        nodeName: 'node-a',
        resources: this.resources,
        allowedDevices: allowedDevices.parse(enaDevices),
        sys: join(this.root, 'sys'),
        dev: join(this.root, 'dev'),
        proc: join(this.root, 'proc'),
        devicePluginsDir: join(this.root, 'k/device-plugins'),
        deviceInjection: this.deviceInjection,
        topology: this.#options.topology ?? 'auto',
      },
      state: () => {
        // A pass runs from here to its end in one go.
        for (const end of this.#passWaiters) queueMicrotask(end)
        this.#passWaiters.clear()
        const { state = (real: ClusterState) => real } = this.#options
        return state(this.cluster.state())
      },
      writes: this.cluster,
      events: this.cluster.events,
      controlWrites: this.#options.controlWrites?.(this.#writer) ?? this.#writer,
      primaryMac: () => this.#options.primaryMac,
      links: this.#options.links?.(this.bus.links) ?? this.bus.links,
      podResources: new PodResourcesClient(
        join(this.root, 'k/pod-resources/kubelet.sock'),
        this.#options.podResourcesDeadlineMs,
      ),
      journal,
      specs,
      infos,
      clock: this.#options.clock ?? systemClock,
      records,
      log,
      ...(this.#options.settleDeadlineMs && { settleDeadlineMs: this.#options.settleDeadlineMs }),
    })
    this.#plugin = plugin
    this.#stop = new AbortController()
    this.#running = plugin.run(this.#stop.signal)
  }

  get resources(): Set<string> {
    return new Set(this.#options.resources ?? [resource])
  }

  get cdiDir(): string {
    return join(this.root, 'cdi')
  }

  get deviceInfoDir(): string {
    return join(this.root, 'devinfo/dp')
  }

  /** What /healthz, /readyz and /metrics would say. */
  get status(): Status {
    assert.ok(this.#plugin)
    return this.#plugin.status
  }

  async stopPlugin(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  /** A card of an ENI, acknowledged for the claim of `pod`. Returns its PCI address. */
  async acknowledged(name: string, mac: string, podUID: string): Promise<string> {
    const claim = { namespace: 'core', name: podUID, uid: podUID }
    this.cluster.addAttachment(name, { mac, claim })
    const { bdf } = await this.bus.plug({ mac, eniId: `eni-${name}`, deviceIndex: 1 })
    await this.cluster.until(() => this.cluster.device(name)?.acknowledged === podUID)
    return bdf
  }

  /** As if somebody gave the card to another driver by hand. */
  async giveTo(bdf: string, driver: string): Promise<void> {
    const pci = join(this.root, 'sys/bus/pci')
    const write = (file: string, text: string) => writeFile(join(pci, file), text, { flag: constants.O_WRONLY })
    const driverNow = () => this.bus.cards().find((card) => card.bdf === bdf)?.driver
    await write(`devices/${bdf}/driver_override`, `${driver}\n`)
    const from = driverNow()
    if (from) await write(`drivers/${from}/unbind`, bdf)
    await this.bus.effects.until(() => driverNow() === null)
    await write('drivers_probe', bdf)
    await this.bus.effects.until(() => driverNow() === driver)
    await write(`devices/${bdf}/driver_override`, '\n')
  }

  lines(msg: string): readonly LogLine[] {
    return this.log.filter((line) => line.msg === msg)
  }

  /** Resolves after the next whole pass of the plugin's loop: what it would do about all that is true now, it has done. */
  passed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#passWaiters.add(resolve)
    this.#plugin?.poke()
    return promise
  }

  /** Resolves when the log has so many lines with this text. */
  async logged(msg: string, times = 1): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const check = () => {
      if (this.lines(msg).length >= times) resolve()
    }
    this.#logWaiters.add(check)
    check()
    await promise
    this.#logWaiters.delete(check)
  }

  #keep(line: string): void {
    this.log.push(JSON.parse(line) as LogLine)
    for (const check of this.#logWaiters) check()
  }

  async close(): Promise<void> {
    await this.stopPlugin()
    this.kubelet.close()
    this.bus.stop()
    this.#writer.stop()
    rmSync(this.root, { recursive: true, force: true })
  }
}
