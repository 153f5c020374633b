// A NodeENI that is there and cannot be read: it was stored before its CRD became stricter, say. It says so in its condition Ready, no
// ENI of it is made, and those that exist stay as they are, until it is put right or deleted.
import { z } from 'zod'

import { apiVersion } from '../api/names.ts'
import { type NodeENI, nodeENISchema } from '../api/node-eni.ts'
import { type Condition, conditionSchema, metadataSchema } from '../api/object-meta.ts'
import type { KubeClient } from '../kube/cluster.ts'
import type { EventRecorder } from '../kube/event-recorder.ts'
import type { Informer, NamedObject } from '../kube/informer.ts'
import { isInvalid } from '../kube/kube-error.ts'
import { type Clock, timestamp } from '../process/clock.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { type Problem, releasing } from './node-eni-conditions.ts'
import { letGo, writeStatus } from './node-eni-writes.ts'

const recheckMs = 60_000
/** Whatever else is wrong with it. */
const conditionsSchema = z.object({ status: z.object({ conditions: z.array(conditionSchema) }) })

export interface UnreadableNodeENIParts {
  readonly cluster: KubeClient
  readonly store: AttachmentStore
  readonly events: EventRecorder
  readonly clock: Clock
}

/** Nobody knows what it wants of its ENIs. Of one that is being deleted that is known: none. */
export function isLeftAlone(nodeENIs: Informer<NodeENI>, name: string): boolean {
  const unreadable = nodeENIs.unreadable.get(name)
  return unreadable !== undefined && metadataSchema.parse(unreadable.metadata).deletionTimestamp === undefined
}

export class UnreadableNodeENI {
  readonly #parts: UnreadableNodeENIParts

  constructor(parts: UnreadableNodeENIParts) {
    this.#parts = parts
  }

  /** Answers after how many milliseconds to look again. */
  async reconcile(unreadable: NamedObject): Promise<number | undefined> {
    const { cluster, store } = this.#parts
    const metadata = metadataSchema.parse(unreadable.metadata)
    const isDeleting = metadata.deletionTimestamp !== undefined
    const left = store.ofNodeENI(metadata.name).length
    const others = store.unreadable()
    if (isDeleting && left + others.length === 0) await letGo(cluster, metadata)
    else await this.#tell(metadata, unreadable, isDeleting ? releasing(left, others) : whatIsWrong(unreadable))
    return isDeleting ? recheckMs : undefined
  }

  async #tell(
    { name, uid, generation }: NodeENI['metadata'],
    unreadable: NamedObject,
    problem: Problem,
  ): Promise<void> {
    const { cluster, events, clock } = this.#parts
    const before = conditionsSchema.safeParse(unreadable).data?.status.conditions.find(({ type }) => type === 'Ready')
    const condition: Condition = {
      type: 'Ready',
      status: 'False',
      ...problem,
      lastTransitionTime: before?.status === 'False' ? before.lastTransitionTime : timestamp(clock),
      ...(generation !== undefined && { observedGeneration: generation }),
    }
    if (before?.message === condition.message && before.observedGeneration === generation) return
    events.record({ apiVersion, kind: 'NodeENI', name, uid }, 'Warning', condition.reason, condition.message)
    await writeStatus(cluster, name, { conditions: [condition] }).catch((error: unknown) => {
      // The API server may take no write of an object that is not valid; the event has to do.
      if (!isInvalid(error)) throw error
    })
  }
}

function whatIsWrong(unreadable: NamedObject): Problem {
  const issues = nodeENISchema.safeParse(unreadable).error?.issues ?? []
  const wrong = issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
  const remedy = 'put that right: until then its ENIs stay as they are, and no other is made'
  return { reason: 'Invalid', message: `it is not what its CRD says: ${wrong}; ${remedy}` }
}
