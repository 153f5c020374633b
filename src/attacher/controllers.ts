// Wires the attacher: which watch feeds which controller. It decides nothing itself.
import { type ENIAttachment, isIdle } from '../api/eni-attachment.ts'
import type { KubeClient } from '../kube/cluster.ts'
import type { EventRecorder } from '../kube/event-recorder.ts'
import { Informer } from '../kube/informer.ts'
import { attachmentParser, type NodeFacts, nodeENIParser, parseNode, parsePod } from '../kube/objects.ts'
import { attachmentsPath, nodeENIsPath, nodesPath, podsPath } from '../kube/resource.ts'
import { WorkQueue } from '../kube/work-queue.ts'
import type { Clock } from '../process/clock.ts'
import { runTogether } from '../process/lifecycle.ts'
import type { Log } from '../process/log.ts'
import { Absences } from './absences.ts'
import { AheadEnis } from './ahead-enis.ts'
import { AttachmentController } from './attachment-controller.ts'
import { AttachmentRelease } from './attachment-release.ts'
import { AttachmentStore } from './attachment-store.ts'
import { ChangeRefusals } from './change-refusals.ts'
import { ClaimController } from './claim-controller.ts'
import type { Ec2Access } from './ec2.ts'
import type { Ec2Gate } from './ec2-gate.ts'
import type { Urgency } from './ec2-limiter.ts'
import { EniAttach } from './eni-attach.ts'
import { EniPlacement } from './eni-placement.ts'
import { EniRelease } from './eni-release.ts'
import { EniSurvey } from './eni-survey.ts'
import { EniUpkeep } from './eni-upkeep.ts'
import { EniWatch } from './eni-watch.ts'
import { FailureReport } from './failure-report.ts'
import { GarbageCollector } from './garbage-collector.ts'
import { IdleLimit } from './idle-limit.ts'
import { InstanceLife } from './instance-life.ts'
import { Inventory } from './inventory.ts'
import type { AttacherMetrics } from './metrics.ts'
import { Networks } from './network.ts'
import { NodeENIController } from './node-eni-controller.ts'
import { NodeRefusals } from './node-refusals.ts'
import { NodeSweep } from './node-sweep.ts'
import { RejectedPods } from './rejected-pods.ts'
import { SelectedNodes } from './selected-nodes.ts'
import { UnreadableNodeENI } from './unreadable-node-eni.ts'
import type { AttacherSettings } from './settings.ts'

/** The status of a NodeENI counts its ENIs, of which many change at once. */
const statusMs = 250

export interface ControllersParts {
  readonly cluster: KubeClient
  readonly ec2: Ec2Access
  readonly gate: Ec2Gate
  readonly events: EventRecorder
  readonly settings: AttacherSettings
  readonly metrics: AttacherMetrics
  readonly clock: Clock
  readonly log: Log
}

export class Controllers {
  readonly #parts: ControllersParts
  #caches: Readonly<Record<string, Pick<Informer<unknown>, 'hasSynced'>>> = {}

  constructor(parts: ControllersParts) {
    this.#parts = parts
  }

  /** What they wait for before they begin, in one line; undefined also while somebody else leads. */
  get notReady(): string | undefined {
    const waiting = Object.entries(this.#caches).find(([, cache]) => !cache.hasSynced)
    return waiting && `the cache of ${waiting[0]} has not synced yet`
  }

  /** Runs everything that only the leader may do, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { cluster, events, settings, metrics, clock, log } = this.#parts
    const ec2 = (urgency: Urgency) => this.#parts.ec2(urgency, signal)
    const nodes = new Informer({ cluster, path: nodesPath, parse: parseNode, log, clock })
    const nodeENIs = new Informer({ cluster, path: nodeENIsPath, parse: nodeENIParser(log), log, clock })
    const attachments = new Informer({ cluster, path: attachmentsPath, parse: attachmentParser(log), log, clock })
    const fieldSelector = `spec.schedulerName=${settings.schedulerName}`
    const pods = new Informer({ cluster, path: podsPath, fieldSelector, parse: parsePod, log, clock })
    const informers = [nodes, nodeENIs, attachments, pods]
    this.#caches = { nodes, nodeENIs, attachments, pods }

    const store = new AttachmentStore(cluster, attachments)
    metrics.watchPhases(() => store.all())
    const clusterName = settings.clusterName
    const absences = new Absences(clock)
    const inventory = new Inventory({ ec2, policy: settings.slots, clock })
    const networks = new Networks(ec2, clock)
    const watch = new EniWatch({ ec2, clusterName, clock, log })
    const refusals = new NodeRefusals(clock)
    const placement = new EniPlacement({ store, inventory, networks, policy: settings.slots })
    const eniAttach = new EniAttach({
      ec2: this.#parts.ec2,
      watch,
      store,
      placement,
      networks,
      absences,
      clusterName,
      clock,
      log,
    })
    const life = new InstanceLife({ inventory, nodes, store, clock })
    const eniRelease = new EniRelease({ ec2: ec2('release'), watch, store, life, absences, clock, log })
    const collector = new GarbageCollector({ ec2: ec2('collection'), store, mode: settings.collection, metrics, log })
    const survey = new EniSurvey({
      ec2: ec2('collection'),
      clusterName,
      clock,
      log,
      onSurvey: async (enis) => {
        for (const { metadata } of store.all()) attachmentQueue.add(metadata.name)
        await collector.pass(enis)
      },
    })
    const changeRefusals = new ChangeRefusals(
      clock,
      (nodeENI) => nodeENIQueue.add(nodeENI),
      () => survey.firstAtMs,
    )
    const eniUpkeep = new EniUpkeep({
      ec2: this.#parts.ec2,
      watch,
      survey,
      absences,
      life,
      changeRefusals,
      clusterName,
      log,
    })
    const aheadEnis = new AheadEnis({ cluster, store, nodes, inventory, placement, refusals, clock })
    const nodeENIController = new NodeENIController({
      cluster,
      store,
      nodeENIs,
      selectedNodes: new SelectedNodes({ nodes, nodeENIs, inventory }),
      networks,
      aheadEnis,
      unreadableNodeENI: new UnreadableNodeENI({ cluster, store, events, clock }),
      refusals,
      changeRefusals,
      managed: settings.resources,
      events,
      clock,
      onRefusalEnded: () => sweep.sweepSoon(),
      trouble: () => sweep.trouble,
    })
    const report = new FailureReport(store, events, clock)
    const attachmentController = new AttachmentController({
      store,
      eniAttach,
      attachmentRelease: new AttachmentRelease({ store, life, eniRelease, report, clock }),
      eniUpkeep,
      life,
      idleLimit: new IdleLimit(store, nodes, clock),
      nodeENIs,
      refusals,
      nodeENIController,
      aheadEnis,
      report,
      metrics,
      clock,
      onGivenUp: () => sweep.sweepSoon(),
    })
    const claimController = new ClaimController(cluster, store, pods, new RejectedPods(events, metrics), log)

    const attachmentQueue = new WorkQueue(
      (name, stop) => attachmentController.reconcile(name, stop),
      Infinity,
      log,
      clock,
    )
    const nodeENIQueue = new WorkQueue((name) => nodeENIController.reconcile(name), 1, log, clock, statusMs)
    const claimQueue = new WorkQueue((nodeName) => claimController.reconcile(nodeName), 10, log, clock)
    const requeueNodeENIs = () => [...nodeENIs.values()].forEach(({ metadata }) => nodeENIQueue.add(metadata.name))
    const onSwept = () => {
      requeueNodeENIs()
      // Nobody else tells that an instance ended while its node is still there.
      for (const { metadata, spec } of store.all()) if (life.mayBeOver(spec)) attachmentQueue.add(metadata.name)
    }
    const sweep = new NodeSweep({
      cluster,
      store,
      nodes,
      nodeENIs,
      inventory,
      refusals,
      onSwept,
      onTrouble: requeueNodeENIs,
      clock,
      log,
    })

    // Whoever was refused would come back by himself within a minute or so.
    this.#parts.gate.onOpen(() => {
      for (const { metadata } of store.all()) attachmentQueue.add(metadata.name)
      requeueNodeENIs()
      sweep.retry()
      survey.retry()
    })
    attachments.onChange((name, after, before) => {
      const changed = after ?? before
      if (changed === undefined || isNoteOnly(after, before)) return
      attachmentController.changed(name, after, before)
      attachmentQueue.add(name)
      nodeENIQueue.add(changed.spec.nodeENI)
      claimQueue.add(changed.spec.nodeName)
      // Which of a node's idle ENIs are the warm ones depends on all of them.
      if ((before !== undefined && isIdle(before)) === (after !== undefined && isIdle(after))) return
      for (const { metadata } of store.onNode(changed.spec.nodeName)) attachmentQueue.add(metadata.name)
    })
    pods.onChange((_key, after, before) => {
      if (JSON.stringify(after) === JSON.stringify(before)) return
      for (const pod of [before, after]) {
        if (pod?.nodeName !== undefined) claimQueue.add(pod.nodeName)
        // Before it is bound, or after it was bound to another node than was tried first, a pod may have a claim on any node.
        for (const { spec } of store.claimedBy(pod?.uid ?? '')) claimQueue.add(spec.nodeName)
      }
    })
    nodeENIs.onChange((name, after, before) => {
      nodeENIQueue.add(name)
      sweep.nodesChanged()
      if (after?.metadata.uid !== before?.metadata.uid && refusals.forgetNodeENI(name)) sweep.sweepSoon()
      // One that is gone stands in the way of no other.
      if (after === undefined) requeueNodeENIs()
      // Our own writes of its status, one for each ENI, are no news to its ENIs.
      if (after !== undefined && after.metadata.generation === before?.metadata.generation) return
      for (const { metadata } of store.ofNodeENI(name)) attachmentQueue.add(metadata.name)
    })
    nodes.onChange((name, after, before) => {
      // Not at all nodes: a list tells of each of thousands.
      if (after !== undefined) sweep.nodesChanged([after])
      if (after?.instanceID !== before?.instanceID) refusals.forgetInstance(before?.instanceID)
      if (isMended(after, before) && refusals.mended(after.instanceID)) {
        sweep.sweepSoon()
        requeueNodeENIs()
      }
      if (JSON.stringify(relevant(after)) === JSON.stringify(relevant(before))) return
      requeueNodeENIs()
      for (const { metadata } of store.onNode(name)) attachmentQueue.add(metadata.name)
    })

    await runTogether(signal, [
      ...informers.map((informer) => (stop: AbortSignal) => informer.run(stop)),
      async (stop) => {
        // Decisions on half a picture would release what is in use.
        await Promise.race([Promise.all(informers.map(({ synced }) => synced)), aborted(stop)])
        refusals.learn(nodes.values())
        await runTogether(stop, [
          (stopping) => sweep.run(stopping),
          (stopping) => watch.run(stopping),
          (stopping) => attachmentQueue.run(stopping),
          (stopping) => nodeENIQueue.run(stopping),
          (stopping) => claimQueue.run(stopping),
          (stopping) => survey.run(stopping),
        ])
      },
    ])
  }
}

/** It was restarted, or somebody has removed our annotation, which is how people say that they have mended the node. */
function isMended(
  after: NodeFacts | undefined,
  before: NodeFacts | undefined,
): after is NodeFacts & { readonly instanceID: string } {
  if (after?.instanceID === undefined || after.instanceID !== before?.instanceID) return false
  const isRestarted = before.bootID !== undefined && after.bootID !== before.bootID
  return isRestarted || (before.capacity !== undefined && after.capacity === undefined)
}

/** What of a Node matters here; its status changes every few seconds. */
function relevant(node: NodeFacts | undefined) {
  return node && [node.instanceID, node.labels, node.capacity]
}

/** Only the note of a failed try has changed. It is our own, and must not cut the wait before the next try short. */
function isNoteOnly(after: ENIAttachment | undefined, before: ENIAttachment | undefined): boolean {
  // The same once more is a list that may heal what a watch has missed.
  if (after?.metadata.resourceVersion === before?.metadata.resourceVersion) return false
  return JSON.stringify(withoutNote(after)) === JSON.stringify(withoutNote(before))
}

function withoutNote(attachment: ENIAttachment | undefined) {
  const { metadata, spec, status } = attachment ?? {}
  const { failure, ...eni } = status?.eni ?? {}
  const { uid, deletionTimestamp, finalizers } = metadata ?? {}
  return [uid, deletionTimestamp, finalizers, spec, status?.device, eni, failure?.terminal === true && failure]
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal.aborted) resolve()
  else signal.addEventListener('abort', () => resolve(), { once: true })
  return promise
}
