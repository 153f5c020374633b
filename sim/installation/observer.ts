// Watches an installation from outside, as its administrator: pods, NodeENIs and ENIAttachments, and waits for what they become.
import type { V1Pod } from '@kubernetes/client-node'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { NodeENI } from '../../src/api/node-eni.ts'
import { Cluster as ApiServer } from '../../src/kube/cluster.ts'
import { Informer } from '../../src/kube/informer.ts'
import { attachmentParser, nodeENIParser } from '../../src/kube/objects.ts'
import { attachmentsPath, nodeENIsPath, podsPath } from '../../src/kube/resource.ts'
import { createLog } from '../../src/process/log.ts'

export interface ObservedPod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly nodeName: string | undefined
  readonly phase: string
  /** Why it failed: UnexpectedAdmissionError when its kubelet refused it. */
  readonly reason: string | undefined
  readonly message: string | undefined
  /** Running, with all containers ready. */
  readonly running: boolean
  readonly deleting: boolean
  /** Message of the condition PodScheduled=False. */
  readonly unschedulable: string | undefined
  readonly limits: Readonly<Record<string, string>>
}

export class Observer {
  /** For requests of the administrator. */
  readonly api: ApiServer
  readonly pods: Informer<ObservedPod>
  readonly nodeENIs: Informer<NodeENI>
  readonly attachments: Informer<ENIAttachment>
  readonly #stop = new AbortController()
  readonly #looks = new Set<() => void>()

  constructor(adminKubeconfig: string) {
    const cluster = new ApiServer(adminKubeconfig)
    const log = createLog('observer', 'error')
    this.api = cluster
    this.pods = new Informer({ cluster, path: podsPath, parse: observedPod, log })
    this.nodeENIs = new Informer({ cluster, path: nodeENIsPath, parse: nodeENIParser(log), log })
    this.attachments = new Informer({ cluster, path: attachmentsPath, parse: attachmentParser(log), log })
    for (const informer of this.#informers()) informer.onChange(() => this.#looks.forEach((look) => look()))
  }

  async start(): Promise<void> {
    for (const informer of this.#informers()) void informer.run(this.#stop.signal)
    await Promise.all(this.#informers().map(({ synced }) => synced))
  }

  stop(): void {
    this.#stop.abort()
  }

  /** Resolves when `holds` is true, looked at after every change; rejects when the signal aborts. */
  async until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = () => {
      try {
        if (holds()) resolve()
      } catch (error) {
        reject(error)
      }
    }
    const abort = () => reject(signal.reason)
    this.#looks.add(look)
    signal.addEventListener('abort', abort, { once: true })
    try {
      if (signal.aborted) abort()
      look()
      await promise
    } finally {
      this.#looks.delete(look)
      signal.removeEventListener('abort', abort)
    }
  }

  allPods(): ObservedPod[] {
    return [...this.pods.values()]
  }

  allAttachments(): ENIAttachment[] {
    return [...this.attachments.values()]
  }

  #informers(): readonly Pick<Informer<unknown>, 'run' | 'synced' | 'onChange'>[] {
    return [this.pods, this.nodeENIs, this.attachments]
  }
}

function observedPod(raw: unknown): ObservedPod {
  const { metadata, spec, status } = raw as V1Pod
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')
  return {
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    nodeName: spec?.nodeName,
    phase: status?.phase ?? '',
    reason: status?.reason,
    message: status?.message,
    running: status?.phase === 'Running' && (status.containerStatuses?.every(({ ready }) => ready) ?? false),
    deleting: metadata?.deletionTimestamp !== undefined,
    unschedulable: scheduled?.status === 'False' ? scheduled.message : undefined,
    limits: Object.assign({}, ...(spec?.containers ?? []).map(({ resources }) => resources?.limits ?? {})) as Record<
      string,
      string
    >,
  }
}
