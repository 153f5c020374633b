// Waits for what becomes of many pods, by asking the API server for one of those that are not there yet.
import { setTimeout as delay } from 'node:timers/promises'
import type { KubeClient } from '../../src/kube/cluster.ts'

const pollMs = 250

type Api = Pick<KubeClient, 'request'>

interface List {
  readonly items: readonly { readonly metadata: { readonly name: string; readonly uid: string } }[]
}

/** Resolves when the namespace has no pod for which the field selector holds. @throws after the deadline, naming one. */
export async function noPod(api: Api, namespace: string, fieldSelector: string, deadlineMs: number): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods`
  for (const startedAt = performance.now(); ; await delay(pollMs)) {
    const { items } = await api.request<List>('GET', path, { query: { fieldSelector, limit: 1 } })
    const [one] = items
    if (one === undefined) return
    if (performance.now() - startedAt < deadlineMs) continue
    throw new Error(`pod ${namespace}/${one.metadata.name} still has ${fieldSelector} after ${deadlineMs / 1000} s`)
  }
}

export const unbound = 'spec.nodeName='

/** name -> UID, of all pods of the namespace. */
export async function podUIDs(api: Api, namespace: string): Promise<ReadonlyMap<string, string>> {
  const { items } = await api.request<List>('GET', `/api/v1/namespaces/${namespace}/pods`)
  return new Map(items.map(({ metadata: { name, uid } }) => [name, uid]))
}
