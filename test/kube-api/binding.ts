// pods/binding: the scheduler's last word.
import { type ObjectStore, ownedBy } from './object-store.ts'
import { strategicPatch } from './patch.ts'
import { conflict } from './refusal.ts'
import type { ApiRequest, Body } from './request.ts'
import type { KubeObject, Target } from './resources.ts'
import { updater } from './written-object.ts'

export function bound(store: ObjectStore, key: string, target: Target, request: ApiRequest): KubeObject {
  const body = request.body as Body & { target?: { name?: string } }
  const { uid, resourceVersion, annotations } = body.metadata ?? {}
  const bind = (pod: KubeObject) => {
    const reason = reasonAgainstBinding(pod)
    if (reason !== undefined) throw conflict(`Pod ${key}: ${reason}`)
    return strategicPatch(pod, {
      ...(annotations !== undefined && { metadata: { annotations } }),
      spec: { nodeName: body.target?.name },
      status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
    })
  }
  return store.update(key, bind, { uid, resourceVersion }, ownedBy(updater(target, request)))
}

function reasonAgainstBinding({ metadata, spec }: KubeObject): string | undefined {
  const { nodeName, schedulingGates = [] } = (spec ?? {}) as { nodeName?: string; schedulingGates?: unknown[] }
  if (metadata.deletionTimestamp !== undefined) return 'is being deleted'
  if (nodeName !== undefined) return `is already assigned to node ${nodeName}`
  if (schedulingGates.length > 0) return 'has scheduling gates'
  return undefined
}
