// The nodes of a fleet, without machines: what their device plugins and kubelets would do with the objects of the API server.
// Models: the device plugin's offers, acknowledgements, holders and finalizer, by its own pure functions and its own writer; the
// kubelet's choice of devices, its refusals, Running, the last deletion of a pod; a node whose plugin has not registered a resource
// (its pods run without a device, as on a real kubelet), one whose plugin is silent, and the time from an attach to its device.
// Does not model: cards, drivers, failures of devices; the kubelet's delays, images, containers, probes, evictions, leases and
// heartbeats; admission for other reasons than devices; Node.status, which stays as the Node was created. sim/cluster and sim/kubelet
// have the real ones.
import { ClusterAttachmentWrites } from '../../src/device-plugin/attachment-writes.ts'
import type { KubeClient } from '../../src/kube/cluster.ts'
import { Informer } from '../../src/kube/informer.ts'
import { attachmentParser, parseNode } from '../../src/kube/objects.ts'
import { attachmentsPath, nodesPath, podsPath } from '../../src/kube/resource.ts'
import type { Clock } from '../../src/process/clock.ts'
import { runTogether } from '../../src/process/lifecycle.ts'
import type { Log } from '../../src/process/log.ts'
import { DeviceBook } from './device-book.ts'
import { FleetNodes } from './fleet-nodes.ts'
import { fleetPodParser } from './fleet-pod.ts'
import { KubeletStandIn, type PodCounts } from './kubelet-stand-in.ts'
import { PluginStandIn } from './plugin-stand-in.ts'

export interface NodeSimulatorOptions {
  readonly cluster: KubeClient
  readonly managed: ReadonlySet<string>
  /** `absent`: pods stay as they are bound, and hold nothing: for measurements in which no kubelet is to write. */
  readonly kubelets: 'present' | 'absent'
  /** From the moment at which EC2 has attached a card to that at which the kubelet has its device. */
  readonly offerDelayMs: number
  readonly clock: Clock
  readonly log: Log
}

export interface SimulatorCounts extends PodCounts {
  /** Claims that have been acknowledged. */
  readonly acknowledged: number
}

export class NodeSimulator {
  readonly nodes = new FleetNodes()
  readonly #options: NodeSimulatorOptions
  readonly #plugins: PluginStandIn
  readonly #kubelets: KubeletStandIn

  constructor(options: NodeSimulatorOptions) {
    this.#options = options
    const { cluster, clock, log, offerDelayMs } = options
    const { nodes } = this
    const book = new DeviceBook()
    const writes = new ClusterAttachmentWrites(cluster)
    this.#plugins = new PluginStandIn({ writes, nodes, book, clock, log, offerDelayMs })
    this.#kubelets = new KubeletStandIn({
      cluster,
      nodes,
      book,
      isClaimed: (key) => this.#plugins.isClaimed(key),
      onDevices: (keys) => this.#plugins.devicesChanged(keys),
      clock,
      log,
    })
  }

  get counts(): SimulatorCounts {
    return { ...this.#kubelets.counts, acknowledged: this.#plugins.acknowledged }
  }

  /** Works until the signal aborts. `onSynced` is called when all that is there already has been seen. */
  async run(signal: AbortSignal, onSynced: () => void = () => undefined): Promise<void> {
    const { cluster, managed, clock, log, kubelets } = this.#options
    const nodes = new Informer({ cluster, path: nodesPath, parse: parseNode, log, clock })
    nodes.onChange((name, node) => this.nodes.set(name, node))
    const attachments = new Informer({ cluster, path: attachmentsPath, parse: attachmentParser(log), log, clock })
    attachments.onChange((name, attachment) => this.#plugins.setAttachment(name, attachment))
    const pods = new Informer({ cluster, path: podsPath, parse: fleetPodParser(managed), log, clock })
    pods.onChange((key, pod) => this.#kubelets.setPod(key, pod))
    const caches = kubelets === 'present' ? [nodes, attachments, pods] : [nodes, attachments]
    void Promise.all(caches.map(({ synced }) => synced)).then(onSynced)
    await runTogether(signal, [
      ...caches.map((cache) => (stop: AbortSignal) => cache.run(stop)),
      (stop) => this.#plugins.run(stop),
      (stop) => this.#kubelets.run(stop),
    ])
  }
}
