// Keeps the ledger up to date: watches all that it is about.
import type { KubeClient } from '../kube/cluster.ts'
import { Informer } from '../kube/informer.ts'
import { attachmentParser, nodeENIParser, parseNode } from '../kube/objects.ts'
import { attachmentsPath, nodeENIsPath, nodesPath } from '../kube/resource.ts'
import type { Clock } from '../process/clock.ts'
import { runTogether } from '../process/lifecycle.ts'
import type { Log } from '../process/log.ts'
import type { Ledger } from './ledger.ts'

export interface LedgerFeedParts {
  readonly cluster: KubeClient
  readonly ledger: Pick<Ledger, 'setNode' | 'setNodeENI' | 'setWatched'>
  readonly log: Log
  readonly clock: Clock
}

export class LedgerFeed {
  readonly #caches: Readonly<Record<string, Pick<Informer<unknown>, 'hasSynced' | 'synced' | 'run'>>>

  constructor({ cluster, ledger, log, clock }: LedgerFeedParts) {
    const nodes = new Informer({ cluster, path: nodesPath, parse: parseNode, log, clock })
    nodes.onChange((name, node) => ledger.setNode(name, node))
    const nodeENIs = new Informer({ cluster, path: nodeENIsPath, parse: nodeENIParser(log), log, clock })
    nodeENIs.onChange((name, nodeENI) => ledger.setNodeENI(name, nodeENI))
    const attachments = new Informer({ cluster, path: attachmentsPath, parse: attachmentParser(log), log, clock })
    attachments.onChange((name, attachment) => ledger.setWatched(name, attachment))
    this.#caches = { nodes, nodeENIs, attachments }
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
