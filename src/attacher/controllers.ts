// Wires the attacher: which watch feeds which controller. It decides nothing itself.
import { isIdle } from '../api/eni-attachment.ts'
import type { Cluster } from '../kube/cluster.ts'
import type { EventRecorder } from '../kube/event-recorder.ts'
import { Informer } from '../kube/informer.ts'
import { attachmentParser, type NodeFacts, nodeENIParser, parseNode, parsePod } from '../kube/objects.ts'
import { attachmentsPath, nodeENIsPath, nodesPath, podsPath } from '../kube/resource.ts'
import { WorkQueue } from '../kube/work-queue.ts'
import type { Clock } from '../process/clock.ts'
import { runTogether } from '../process/lifecycle.ts'
import type { Log } from '../process/log.ts'
import { AttachmentController } from './attachment-controller.ts'
import { AttachmentStore } from './attachment-store.ts'
import { ClaimController } from './claim-controller.ts'
import type { Ec2 } from './ec2.ts'
import { EniLifecycle } from './eni-lifecycle.ts'
import { EniWatch } from './eni-watch.ts'
import { GarbageCollector } from './garbage-collector.ts'
import { Inventory } from './inventory.ts'
import { Networks } from './network.ts'
import { NodeENIController } from './node-eni-controller.ts'
import { NodeSweep } from './node-sweep.ts'
import type { AttacherSettings } from './settings.ts'

export interface ControllersParts {
  readonly cluster: Cluster
  readonly ec2: Ec2
  readonly events: EventRecorder
  readonly settings: AttacherSettings
  readonly clock: Clock
  readonly log: Log
}

export class Controllers {
  readonly #parts: ControllersParts

  constructor(parts: ControllersParts) {
    this.#parts = parts
  }

  /** Runs everything that only the leader may do, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { cluster, ec2, events, settings, clock, log } = this.#parts
    const nodes = new Informer({ cluster, path: nodesPath, parse: parseNode, log })
    const nodeENIs = new Informer({ cluster, path: nodeENIsPath, parse: nodeENIParser(log), log })
    const attachments = new Informer({ cluster, path: attachmentsPath, parse: attachmentParser(log), log })
    const fieldSelector = `spec.schedulerName=${settings.schedulerName}`
    const pods = new Informer({ cluster, path: podsPath, fieldSelector, parse: parsePod, log })
    const informers = [nodes, nodeENIs, attachments, pods]

    const store = new AttachmentStore(cluster, attachments)
    const inventory = new Inventory(ec2)
    const networks = new Networks(ec2, clock)
    const watch = new EniWatch(ec2, log)
    const clusterName = settings.clusterName
    const lifecycle = new EniLifecycle({ ec2, watch, store, inventory, networks, clusterName, clock, log })
    const nodeENIController = new NodeENIController({
      cluster,
      store,
      nodes,
      nodeENIs,
      inventory,
      networks,
      managed: settings.resources,
      events,
      clock,
    })
    const attachmentController = new AttachmentController({
      store,
      lifecycle,
      ec2,
      nodes,
      nodeENIs,
      inventory,
      networks: nodeENIController,
      events,
      clock,
      onGivenUp: () => sweep.sweepSoon(),
    })
    const claimController = new ClaimController(cluster, store, pods, log)

    const attachmentQueue = new WorkQueue(
      (name, stop) => attachmentController.reconcile(name, stop),
      settings.concurrency,
      log,
      clock,
    )
    const nodeENIQueue = new WorkQueue((name) => nodeENIController.reconcile(name), 1, log, clock)
    const claimQueue = new WorkQueue((nodeName) => claimController.reconcile(nodeName), 10, log, clock)
    const requeueNodeENIs = () => [...nodeENIs.values()].forEach(({ metadata }) => nodeENIQueue.add(metadata.name))
    const sweep = new NodeSweep({ cluster, store, nodes, nodeENIs, inventory, onSwept: requeueNodeENIs, log })
    const collector = new GarbageCollector(ec2, store, clusterName, log)

    attachments.onChange((name, after, before) => {
      const changed = after ?? before
      if (changed === undefined) return
      attachmentQueue.add(name)
      nodeENIQueue.add(changed.spec.nodeENI)
      claimQueue.add(changed.spec.nodeName)
      // Which of a node's idle ENIs are the warm ones depends on all of them.
      if ((before !== undefined && isIdle(before)) === (after !== undefined && isIdle(after))) return
      for (const { metadata } of store.onNode(changed.spec.nodeName)) attachmentQueue.add(metadata.name)
    })
    pods.onChange((_key, after, before) => {
      const nodeName = after?.nodeName ?? before?.nodeName
      if (nodeName !== undefined) claimQueue.add(nodeName)
      // A pod that ends before it was bound may have a claim on any node.
      else if (after === undefined) for (const { spec } of claimedBy(store, before?.uid)) claimQueue.add(spec.nodeName)
    })
    nodeENIs.onChange((name, after, before) => {
      nodeENIQueue.add(name)
      sweep.nodesChanged()
      // Our own writes of its status, one for each ENI, are no news to its ENIs.
      if (after !== undefined && after.metadata.generation === before?.metadata.generation) return
      for (const { metadata } of store.ofNodeENI(name)) attachmentQueue.add(metadata.name)
    })
    nodes.onChange((name, after, before) => {
      sweep.nodesChanged()
      if (JSON.stringify(relevant(after)) === JSON.stringify(relevant(before))) return
      requeueNodeENIs()
      for (const { metadata } of store.onNode(name)) attachmentQueue.add(metadata.name)
    })

    await runTogether(signal, [
      ...informers.map((informer) => (stop: AbortSignal) => informer.run(stop)),
      async (stop) => {
        // Decisions on half a picture would release what is in use.
        await Promise.race([Promise.all(informers.map(({ synced }) => synced)), aborted(stop)])
        await runTogether(stop, [
          (stopping) => sweep.run(stopping),
          (stopping) => watch.run(stopping),
          (stopping) => attachmentQueue.run(stopping),
          (stopping) => nodeENIQueue.run(stopping),
          (stopping) => claimQueue.run(stopping),
          (stopping) => collector.run(stopping),
        ])
      },
    ])
  }
}

/** What of a Node matters here; its status changes every few seconds. */
function relevant(node: NodeFacts | undefined) {
  return node && [node.instanceID, node.labels, node.capacity]
}

function claimedBy(store: AttachmentStore, podUID: string | undefined) {
  return store.all().filter(({ spec }) => spec.claim !== undefined && spec.claim.uid === podUID)
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal.aborted) resolve()
  else signal.addEventListener('abort', () => resolve(), { once: true })
  return promise
}
