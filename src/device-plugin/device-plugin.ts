// The parts of the device plugin, wired: everything but its settings, its log and the edges that tests replace.
import type { EventRecorder } from '../kube/event-recorder.ts'
import type { Log } from '../process/log.ts'
import { runTogether } from '../process/lifecycle.ts'
import type { Status } from '../process/status-server.ts'
import type { AllocationRecords } from './allocation-record.ts'
import { AllocateGate } from './allocate-gate.ts'
import { Allocator } from './allocator.ts'
import type { AttachmentWrites } from './attachment-writes.ts'
import { CardSteps } from './card-steps.ts'
import { CardVisits } from './card-visits.ts'
import { CardWork } from './card-work.ts'
import type { MonotonicClock } from './monotonic-clock.ts'
import type { ControlWrites } from './control-writes.ts'
import type { CdiSpecs } from './cdi-specs.ts'
import { ContainerStarts } from './container-starts.ts'
import { DeviceFiles } from './device-files.ts'
import type { DeviceInfoFiles } from './device-info.ts'
import { countedWrites } from './counted-writes.ts'
import { DeviceLists } from './device-lists.ts'
import { DriverBinding } from './driver-binding.ts'
import type { HostLinks } from './host-links.ts'
import { readHostNetwork } from './host-network.ts'
import type { Journal } from './journal.ts'
import { LinkCorrections } from './link-corrections.ts'
import { LinkSteps } from './link-steps.ts'
import { NodeLinks } from './node-links.ts'
import { KubeletSockets } from './kubelet-sockets.ts'
import { KubeletWatch } from './kubelet-view.ts'
import { DevicePluginMetrics, type MismatchKind } from './metrics.ts'
import { Mismatches } from './mismatches.ts'
import type { ClusterState } from './node-demand.ts'
import { NodeEvents } from './node-events.ts'
import { Occupancy } from './occupancy.ts'
import { PciScanner } from './pci-scan.ts'
import type { PodResources } from './pod-resources.ts'
import { Reconciler } from './reconciler.ts'
import { resourceCheck } from './resource-name.ts'
import { Registrations } from './registrations.ts'
import type { DevicePluginSettings } from './settings.ts'
import { SignsOfUse } from './signs-of-use.ts'
import { StatusWriter } from './status-writer.ts'
import { LoopWaker } from './loop-waker.ts'
import { hasDeviceNode } from './userspace-driver.ts'

export interface DevicePluginOptions {
  readonly settings: Pick<
    DevicePluginSettings,
    | 'nodeName'
    | 'resources'
    | 'allowedDevices'
    | 'sys'
    | 'dev'
    | 'proc'
    | 'devicePluginsDir'
    | 'deviceInjection'
    | 'topology'
  >
  /** undefined until the caches have synced. */
  readonly state: () => ClusterState | undefined
  readonly writes: AttachmentWrites
  readonly events: Pick<EventRecorder, 'record'>
  readonly controlWrites: ControlWrites
  readonly links: HostLinks
  /** By the instance metadata; undefined while those say nothing. */
  readonly primaryMac: () => string | undefined
  readonly podResources: PodResources
  readonly journal: Journal
  readonly specs: CdiSpecs
  readonly infos: DeviceInfoFiles
  readonly records: AllocationRecords
  readonly clock: MonotonicClock
  readonly log: Log
  /** See driver-binding.ts. */
  readonly settleDeadlineMs?: number
}

/** What loads modules on a node and sets their parameters may start after us, and pull its image first. */
const newNodeMs = 3 * 60_000

export class DevicePlugin {
  readonly #waker = new LoopWaker()
  readonly #metrics = new DevicePluginMetrics()
  readonly #log: Log
  /** For the first line of the log. */
  readonly #about: object
  readonly #podResources: PodResources
  readonly #sockets: KubeletSockets
  readonly #registrations: Registrations
  readonly #reconciler: Reconciler
  readonly #clock: MonotonicClock
  #wasReady = false

  constructor(options: DevicePluginOptions) {
    const { settings, podResources, journal, clock, log } = options
    const metrics = this.#metrics
    const writes = countedWrites(options.writes, (write) => metrics.writeFailures.inc({ write }))
    const events = new NodeEvents(options.events, settings.nodeName)
    const onMismatch = (kind: MismatchKind) => metrics.mismatches.inc({ kind })
    const poke = () => this.poke()
    const occupancy = new Occupancy((key) => {
      onMismatch('never_shown')
      const [resource, pciAddress] = key.split(' ')
      log.warn({ resource, pciAddress }, 'device handed out and never seen with a pod, free again')
    })
    const gate = new AllocateGate(clock)
    const lists = new DeviceLists((resource) => {
      metrics.listUpdates.inc({ resource })
      this.#registrations.send(resource)
    })
    const onAnswer = (resource: string, outcome: string) => {
      metrics.allocations.inc({ resource, outcome })
      poke()
    }
    const injection = { by: settings.deviceInjection, dev: settings.dev }
    const resourceProblem = resourceCheck(settings.resources, settings.deviceInjection)
    for (const resource of settings.resources) {
      const reason = resourceProblem(resource)
      if (reason !== undefined) log.error({ resource, reason }, 'resource not served')
    }
    const files = new DeviceFiles({ ...options, injection: injection.by, dev: settings.dev, lists, occupancy, gate })
    const allocator = new Allocator({
      lists,
      occupancy,
      podResources,
      gate,
      injection,
      files,
      clock,
      log,
      onAnswer,
    })
    const onLook = () => {
      this.#tellWhenReady()
      poke()
    }
    const kubelet = new KubeletWatch({ podResources, gate, occupancy, clock, log, onLook })
    const startedAt = clock.monotonic()
    const isNodeNew = () => clock.monotonic() - startedAt < newNodeMs
    const scanner = new PciScanner(settings.sys, settings.dev)
    const binding = new DriverBinding({
      ...options,
      sys: settings.sys,
      writes: options.controlWrites,
      hasDeviceNode: (pciAddress) =>
        scanner.scan().some((card) => card.pciAddress === pciAddress && hasDeviceNode(card)),
    })
    const work = new CardWork(clock, log, poke)
    const signs = new SignsOfUse(settings.proc)
    const scan = () => scanner.scan()
    const links = new NodeLinks({ links: options.links, clock, log, onLook: poke })

    const { resources, deviceInjection, allowedDevices } = settings
    this.#about = { resources: [...resources], deviceInjection, allowedDevices: [...allowedDevices] }
    this.#clock = clock
    this.#log = log
    this.#podResources = podResources
    this.#sockets = new KubeletSockets(settings.devicePluginsDir, log)
    this.#registrations = new Registrations({
      directory: settings.devicePluginsDir,
      sockets: this.#sockets,
      lists,
      allocator,
      starts: new ContainerStarts({ ...options, injection: injection.by, dev: settings.dev, lists }),
      topology: settings.topology,
      log,
      counts: {
        registered: (resource, cause) => metrics.registrations.inc({ resource, cause }),
        failed: (resource) => metrics.registrationFailures.inc({ resource }),
      },
      onChange: () => {
        // Another kubelet process, or one that has just lost us: what it said before need not be true any more.
        kubelet.forget()
        this.#tellWhenReady()
        poke()
      },
    })
    this.#reconciler = new Reconciler({
      state: options.state,
      managed: settings.resources,
      scan,
      primaryMac: options.primaryMac,
      host: () => readHostNetwork(settings.proc),
      hasDriver: (driver) => binding.hasDriver(driver),
      mayDriverCome: isNodeNew,
      allowedDevices: settings.allowedDevices,
      visits: new CardVisits({ binding, signs, scan, work: new CardWork(clock, log, poke), clock, log }),
      resourceProblem,
      isDescribed: (resource, card) => files.isDescribed(resource, card),
      files,
      expectDriverChange: () => options.controlWrites.warmUp(),
      steps: new CardSteps({
        journal,
        binding,
        signs,
        files,
        links: options.links,
        scan,
        writes,
        isNodeNew,
        clock,
        metrics,
        log,
      }),
      links,
      linkSteps: new LinkSteps({ journal, links, metrics, log }),
      corrections: new LinkCorrections(clock),
      statuses: new StatusWriter(writes, clock, log),
      registrations: this.#registrations,
      waker: this.#waker,
      journal,
      lists,
      occupancy,
      work,
      kubelet,
      isAllocating: () => gate.isOpen,
      clock,
      metrics,
      events,
      mismatches: new Mismatches({ lists, occupancy, events, log, onMismatch }),
      log,
    })
  }

  get status(): Status {
    return {
      metrics: this.#metrics.registry,
      unhealthy: () => this.#reconciler.stalled,
      notReady: () => this.#notReady(),
    }
  }

  #notReady(): string | undefined {
    if (!this.#reconciler.hasPassed) return 'the caches have not synced, or no scan has been made yet'
    const { unregistered } = this.#registrations
    if (unregistered.length === 0) return undefined
    const [what, is] = unregistered.length === 1 ? ['resource', 'is'] : ['resources', 'are']
    return `${what} ${unregistered.join(', ')} ${is} not registered with the kubelet`
  }

  /** After a reboot pods of the node wait for this moment, or are lost by it. */
  #tellWhenReady(): void {
    if (this.#wasReady || this.#notReady() !== undefined) return
    this.#wasReady = true
    this.#log.info({ ms: Math.round(this.#clock.monotonic()) }, 'ready')
  }

  /** Something has changed: look at once. */
  poke(): void {
    this.#waker.poke()
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#log.info(this.#about, 'started')
    this.#sockets.removeLeftovers()
    try {
      await runTogether(signal, [
        (stop) => this.#registrations.run(stop),
        (stop) => this.#sockets.run(stop),
        (stop) => this.#reconciler.run(stop),
      ])
    } finally {
      this.#podResources.close()
    }
  }
}
