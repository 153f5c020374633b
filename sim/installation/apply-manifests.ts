// Applies what deploy/ has to a cluster, without the workloads: the programs run as processes here.
import type { Cluster } from '../cluster/cluster.ts'
import { asStream, deployManifests, isWorkload } from './manifests.ts'

export async function applyManifests(cluster: Pick<Cluster, 'kubectl'>, signal?: AbortSignal): Promise<void> {
  const manifests = deployManifests()
  const kubectl = (args: readonly string[], input = '') => cluster.kubectl(args, { input, signal })
  const first = manifests.filter(({ kind }) => kind === 'Namespace' || kind === 'CustomResourceDefinition')
  await kubectl(['apply', '-f', '-'], asStream(first))
  await kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s'])
  const rest = manifests.filter((manifest) => !first.includes(manifest) && !isWorkload(manifest))
  await kubectl(['apply', '-f', '-'], asStream(rest))
}
