// The real API server, with our CRDs, does what the behaviour table says: so the doubles of the fast tests cannot drift from it.
import { after, before, describe } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import type { Cluster as ControlPlane } from '../../sim/cluster/cluster.ts'
import { startCluster } from '../../sim/cluster/start-cluster.ts'
import { Cluster } from '../../src/kube/cluster.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import { attachmentsPath } from '../../src/kube/resource.ts'
import { testBehaviour } from '../kube-api/behaviour-table.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root'
const tryAgainMs = 100
const deadlineMs = 30_000
const crds = fileURLToPath(new URL('../../deploy/crds', import.meta.url))

describe('a real API server', { skip }, () => {
  let controlPlane: ControlPlane
  let client: Cluster

  before(async () => {
    controlPlane = await startCluster({ nodes: [], log: (line) => console.log(`# ${line}`) })
    await controlPlane.kubectl(['apply', '-f', crds])
    await controlPlane.kubectl(['wait', '--for=condition=Established', 'crd', '--all'])
    client = new Cluster(controlPlane.adminKubeconfig)
  })
  after(() => controlPlane.stop())

  /** Its watch cache begins anew. */
  const forgetHistory = async () => {
    await controlPlane.killApiServer()
    await controlPlane.startApiServer()
    while (!(await canWatch(client))) await delay(tryAgainMs)
  }
  testBehaviour(() => ({ client, forgetHistory }))
})

/** An API server that says it is ready has not yet filled the caches of custom resources, and answers 429 until then. */
async function canWatch(client: Cluster): Promise<boolean> {
  const query = { watch: true, timeoutSeconds: 1 }
  try {
    for await (const _ of client.lines(attachmentsPath, { query, signal: AbortSignal.timeout(deadlineMs) }));
    return true
  } catch (error) {
    if (error instanceof KubeError && error.code === 429) return false
    throw error
  }
}
