// A real control plane with two real nodes runs pods, survives what tests do to it, and leaves no trace.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { after, before, describe, test } from 'node:test'
import type { Cluster } from '../../sim/cluster/cluster.ts'
import { startCluster } from '../../sim/cluster/start-cluster.ts'
import { upfImage } from '../../sim/cluster/image/node-images.ts'
import type { NodeSpec } from '../../sim/cluster/node/cluster-node.ts'
import { heldDevices } from './kubelet-devices.ts'
import {
  assertNothingLeft,
  linkOf,
  podNetworkNamespaces,
  processIds,
  tracesOf,
  tracesOfBlock,
} from './machine-traces.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root'
const print = (line: string) => console.log(`# ${line}`)

const nodeA: NodeSpec = {
  name: 'node-a',
  providerID: 'aws:///eu-west-1a/i-0aaaaaaaaaaaaaaaa',
  labels: {
    'topology.kubernetes.io/zone': 'eu-west-1a',
    'node.kubernetes.io/instance-type': 'm5.xlarge',
    ng: 'multi-eni',
  },
}
const nodeB: NodeSpec = { name: 'node-b', providerID: 'aws:///eu-west-1b/i-0bbbbbbbbbbbbbbbb' }

interface List<T> {
  readonly items: readonly T[]
}

interface Pod {
  readonly metadata: { readonly name: string }
  readonly spec: { readonly nodeName: string }
  readonly status: {
    readonly podIP: string
    readonly containerStatuses: readonly { readonly containerID: string; readonly restartCount: number }[]
  }
}

interface Node {
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> }
  readonly spec: { readonly providerID: string }
  readonly status: {
    readonly conditions: readonly { readonly type: string; readonly status: string }[]
    readonly addresses: readonly { readonly type: string; readonly address: string }[]
  }
}

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'upf' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'upf' } },
    template: {
      metadata: { labels: { app: 'upf' } },
      spec: {
        containers: [
          {
            name: 'upf',
            image: upfImage.name,
            imagePullPolicy: 'Never',
            env: [{ name: 'PCIDEVICE_INTEL_COM_UPF_DATAPLANE', value: '0000:00:06.0' }],
          },
        ],
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'kubernetes.io/hostname',
            whenUnsatisfiable: 'DoNotSchedule',
            labelSelector: { matchLabels: { app: 'upf' } },
          },
        ],
      },
    },
  },
}

describe('a cluster with two nodes', { skip }, () => {
  let cluster: Cluster

  before(async () => {
    cluster = await startCluster({ nodes: [nodeA, nodeB], log: print })
  })

  after(() => cluster.stop())

  const get = async <T>(...args: string[]) => JSON.parse(await cluster.kubectl(['get', ...args, '-o', 'json'])) as T
  const pods = async () => (await get<List<Pod>>('pods')).items

  test('has both nodes Ready, as the caller described them', async () => {
    const { items } = await get<List<Node>>('nodes')
    assert.deepEqual(
      items.map((node) => [
        node.metadata.name,
        node.spec.providerID,
        node.status.conditions.find(({ type }) => type === 'Ready')?.status,
        node.status.addresses.find(({ type }) => type === 'InternalIP')?.address,
      ]),
      [nodeA, nodeB].map(({ name, providerID }) => [name, providerID, 'True', cluster.node(name).address]),
    )
    const labels = items[0]?.metadata.labels ?? {}
    for (const [key, value] of Object.entries(nodeA.labels ?? {})) assert.equal(labels[key], value)
  })

  test('serves the admission policies that the product installs', async () => {
    const served = await cluster.kubectl(['api-resources', '--api-group=admissionregistration.k8s.io', '-o', 'name'])
    assert.match(served, /^mutatingadmissionpolicies\./m)
    assert.match(served, /^validatingadmissionpolicies\./m)
  })

  test('runs a Deployment on both nodes and shows its log', async () => {
    await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(deployment) })
    await cluster.kubectl(['rollout', 'status', 'deployment/upf', '--timeout=60s'])
    const running = await pods()
    assert.deepEqual(new Set(running.map((pod) => pod.spec.nodeName)), new Set(['node-a', 'node-b']))
    for (const pod of running) {
      const printed = await cluster.kubectl(['logs', pod.metadata.name])
      assert.match(printed, /^PCIDEVICE_INTEL_COM_UPF_DATAPLANE=0000:00:06\.0$/m)
      assert.match(printed, /\/dev\/vfio/)
    }
  })

  test('keeps its kubelets from everyone whom the API server does not know', async () => {
    const url = `https://${cluster.node('node-a').address}:10250/pods`
    const [answer] = (await once(httpsGet(url, { rejectUnauthorized: false, agent: false }), 'response')) as [
      IncomingMessage,
    ]
    answer.resume()
    assert.equal(answer.statusCode, 401)
    const [pod] = await pods()
    assert.equal(await cluster.kubectl(['exec', pod?.metadata.name ?? '', '--', 'echo', 'inside']), 'inside\n')
  })

  test('logs each Binding for the benchmarks', () => {
    const events = readFileSync(cluster.auditLog, 'utf8').trim().split('\n')
    const first = JSON.parse(events[0] ?? '{}') as { objectRef?: { subresource?: string } }
    assert.equal(first.objectRef?.subresource, 'binding')
    assert.equal(events.length, 2)
  })

  test('keeps containers running while a kubelet is restarted or killed', async () => {
    const containers = async () =>
      (await pods()).flatMap((pod) => pod.status.containerStatuses.map((status) => status.containerID))
    const earlier = await containers()
    const node = cluster.node('node-a')
    const firstKubelet = node.kubeletPid
    await node.restartKubelet()
    await node.killKubelet()
    assert.equal(node.kubeletPid, undefined)
    assert.match(await node.ctr(['tasks', 'list']), /RUNNING/)
    await node.startKubelet()
    assert.notEqual(node.kubeletPid, firstKubelet)
    assert.deepEqual(await heldDevices(node.name, node.podResourcesSocket), [])
    // A pod that starts now proves that the new kubelet is at work, so that what it would restart, it has.
    await cluster.kubectl(['scale', 'deployment/upf', '--replicas=4'])
    await cluster.kubectl(['rollout', 'status', 'deployment/upf', '--timeout=60s'])
    const later = new Set(await containers())
    for (const container of earlier) assert.ok(later.has(container), `${container} was restarted`)
  })

  test('gives out service account tokens that name a node', async () => {
    const kubeconfig = await cluster.serviceAccountKubeconfig({
      namespace: 'default',
      name: 'default',
      boundNode: 'node-b',
    })
    const user = await cluster.kubectl(['auth', 'whoami', '-o', 'json', '--kubeconfig', kubeconfig])
    const { status } = JSON.parse(user) as { status: { userInfo: { extra: Record<string, string[]> } } }
    assert.deepEqual(status.userInfo.extra['authentication.kubernetes.io/node-name'], ['node-b'])
  })

  test('ends a pod at once when it is deleted', async () => {
    const [pod] = await pods()
    assert.ok(pod)
    const startedAt = Date.now()
    await cluster.kubectl(['delete', 'pod', pod.metadata.name])
    assert.ok(Date.now() - startedAt < 10_000, 'the grace period of 30 s was waited for')
  })

  test('comes back with everything after a crash of the API server', async () => {
    await cluster.killApiServer()
    await assert.rejects(cluster.kubectl(['get', 'nodes']))
    await cluster.startApiServer()
    assert.equal((await get<List<Node>>('nodes')).items.length, 2)
  })

  test('leaves nothing on the machine when it is stopped', async () => {
    const running = await pods()
    const networks = podNetworkNamespaces(cluster.runDir)
    assert.ok(networks.size >= running.length, 'the test does not see the pods that are running')
    assert.notDeepEqual(tracesOf(cluster.runDir), [])
    assert.notDeepEqual(tracesOfBlock(cluster.server), [])

    await Promise.all([cluster.stop(), cluster.stop()])

    assertNothingLeft([cluster.server])
    assert.deepEqual(tracesOf(cluster.runDir), [])
    for (const pid of processIds()) {
      assert.ok(!networks.has(linkOf(pid, 'ns/net')), `process ${pid} is in the network of a pod`)
    }
  })
})
