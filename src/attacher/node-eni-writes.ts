// What the attacher writes to NodeENIs.
import { apiVersion, attacherManager, nodeENIFinalizer } from '../api/names.ts'
import type { NodeENI, NodeENIStatus } from '../api/node-eni.ts'
import type { KubeClient } from '../kube/cluster.ts'
import { nodeENIPath } from '../kube/resource.ts'

type Metadata = NodeENI['metadata']

/** It stays until its last ENI is gone. @throws KubeError 409 when somebody else was faster. */
export async function hold(cluster: KubeClient, metadata: Metadata): Promise<void> {
  await setFinalizers(cluster, metadata, [...(metadata.finalizers ?? []), nodeENIFinalizer])
}

/** @throws KubeError 409 when somebody else was faster. */
export async function letGo(cluster: KubeClient, metadata: Metadata): Promise<void> {
  const others = (metadata.finalizers ?? []).filter((finalizer) => finalizer !== nodeENIFinalizer)
  await setFinalizers(cluster, metadata, others)
}

export async function writeStatus(cluster: KubeClient, name: string, status: NodeENIStatus): Promise<void> {
  const body = { apiVersion, kind: 'NodeENI', metadata: { name }, status }
  const query = { fieldManager: attacherManager, force: true }
  await cluster.request('PATCH', `${nodeENIPath(name)}/status`, { as: 'apply', body, query })
}

async function setFinalizers(
  cluster: KubeClient,
  { name, resourceVersion }: Metadata,
  finalizers: readonly string[],
): Promise<void> {
  const body = { metadata: { resourceVersion, finalizers } }
  await cluster.request('PATCH', nodeENIPath(name), { as: 'merge', body })
}
