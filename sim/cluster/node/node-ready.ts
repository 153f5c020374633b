// Whether pods can be scheduled to a node, as the API server has it.
import type { ApiClient } from '../api-client.ts'

interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string }
    readonly spec: { readonly taints?: readonly unknown[] }
    readonly status: {
      readonly conditions?: readonly { type: string; status: string }[]
      readonly nodeInfo?: { readonly bootID: string }
    }
  }[]
}

/** Ready, and the taint of a node that is not has been taken away. With `bootID` in this boot, not in one before it. */
export async function isNodeReady(api: ApiClient, name: string, bootID?: string): Promise<boolean> {
  const nodes = await api.json<NodeList>('GET', '/api/v1/nodes')
  const node = nodes.items.find(({ metadata }) => metadata.name === name)
  const condition = node?.status.conditions?.find(({ type }) => type === 'Ready')
  if (bootID !== undefined && node?.status.nodeInfo?.bootID !== bootID) return false
  return condition?.status === 'True' && (node?.spec.taints ?? []).length === 0
}
