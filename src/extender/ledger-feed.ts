// Keeps the ledger up to date: watches all that it is about.
import type { KubeClient } from '../kube/cluster.ts'
import { Informer } from '../kube/informer.ts'
import {
  attachmentParser,
  demandingPodParser,
  nodeENIParser,
  parseNode,
  parseUnreadableAttachment,
} from '../kube/objects.ts'
import { attachmentsPath, nodeENIsPath, nodesPath, podsPath } from '../kube/resource.ts'
import type { Clock } from '../process/clock.ts'
import { runTogether } from '../process/lifecycle.ts'
import type { Log } from '../process/log.ts'
import type { Ledger } from './ledger.ts'

/** With its images a Node has about 15 KB: 500 of them at once would hold up everything else for 25 ms. */
const nodePageSize = 100
/** A Pod has about 6 KB. */
const podPageSize = 250
/** What has ended needs nothing. */
const livingPods = 'status.phase!=Succeeded,status.phase!=Failed'

export interface LedgerFeedParts {
  readonly cluster: KubeClient
  readonly ledger: Pick<Ledger, 'setNode' | 'setNodeENI' | 'setWatched' | 'attachmentsListed' | 'setPod'>
  /** Resource names whose pods count. */
  readonly managed: ReadonlySet<string>
  readonly log: Log
  readonly clock: Clock
}

export class LedgerFeed {
  readonly #caches: Readonly<Record<string, Pick<Informer<unknown>, 'hasSynced' | 'synced' | 'run'>>>

  constructor({ cluster, ledger, managed, log, clock }: LedgerFeedParts) {
    const nodes = new Informer({ cluster, path: nodesPath, parse: parseNode, pageSize: nodePageSize, log, clock })
    nodes.onChange((name, node) => ledger.setNode(name, node))
    const nodeENIs = new Informer({ cluster, path: nodeENIsPath, parse: nodeENIParser(log), log, clock })
    nodeENIs.onChange((name, nodeENI) => ledger.setNodeENI(name, nodeENI))
    const attachments = new Informer({ cluster, path: attachmentsPath, parse: attachmentParser(log), log, clock })
    attachments.onChange((name, attachment) => {
      const raw = attachments.unreadable.get(name)
      ledger.setWatched(name, attachment ?? (raw && parseUnreadableAttachment(raw)))
    })
    attachments.onListed((version) => ledger.attachmentsListed(version))
    const parse = demandingPodParser(managed)
    const pods = new Informer({
      cluster,
      path: podsPath,
      fieldSelector: livingPods,
      parse,
      pageSize: podPageSize,
      log,
      clock,
    })
    pods.onChange((key, pod) => ledger.setPod(key, pod))
    this.#caches = { nodes, nodeENIs, attachments, pods }
  }

  /** What it waits for before the picture is whole, in one line. */
  get notReady(): string | undefined {
    const waiting = Object.entries(this.#caches).find(([, cache]) => !cache.hasSynced)
    return waiting && `the cache of ${waiting[0]} has not synced yet`
  }

  /** Resolves when the picture is whole. */
  async synced(): Promise<void> {
    await Promise.all(Object.values(this.#caches).map((cache) => cache.synced))
  }

  /** Watches until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await runTogether(
      signal,
      Object.values(this.#caches).map((cache) => (stop: AbortSignal) => cache.run(stop)),
    )
  }
}
