// The ServiceAccounts of deploy/ may do what their programs need, and a node's device plugin nothing beyond its own node.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { attachmentPath, eventsPath } from '../../src/kube/resource.ts'
import { Cluster as ApiServer } from '../../src/kube/cluster.ts'
import { asStream, deployManifests, isWorkload } from '../../sim/installation/manifests.ts'
import { Scenario, twoNodes } from './scenario.ts'
import { upfPod, userPlane } from './upf-manifests.ts'

describe('rights', () => {
  let scenario: Scenario
  before(async () => {
    scenario = await Scenario.start({ nodes: twoNodes })
    await scenario.nodeENIReady(userPlane('user-plane'))
    await scenario.apply(upfPod('upf'))
    await scenario.running('upf')
  })
  afterEach(() => scenario.check())
  after(() => scenario[Symbol.asyncDispose]())

  const pluginOf = async (boundNode?: string) => {
    const account = {
      namespace: 'jit-eni',
      name: 'jit-eni-device-plugin',
      ...(boundNode !== undefined && { boundNode }),
    }
    return new ApiServer(await scenario.installation.cluster.serviceAccountKubeconfig(account))
  }

  const writeDevice = async (plugin: ApiServer, part: 'device' | 'eni') => {
    const name = scenario.claimOf('upf')?.metadata.name ?? ''
    const body = {
      status: {
        [part]: { failure: { reason: 'Forged', message: 'forged', terminal: true, time: '2026-01-01T00:00:00.000Z' } },
      },
    }
    await plugin.request('PATCH', `${attachmentPath(name)}/status`, { as: 'merge', body, query: { dryRun: 'All' } })
  }

  const patchObject = async (plugin: ApiServer, body: object) => {
    const path = attachmentPath(scenario.claimOf('upf')?.metadata.name ?? '')
    await plugin.request('PATCH', path, { as: 'merge', body, query: { dryRun: 'All' } })
  }

  it('a device plugin writes the device part on its own node', async () => {
    await writeDevice(await pluginOf(scenario.claimOf('upf')?.spec.nodeName), 'device')
  })

  it('but neither the ENI part, nor on another node, nor with a token that is not bound to a node', async () => {
    const own = scenario.claimOf('upf')?.spec.nodeName
    const other = twoNodes.find(({ name }) => name !== own)?.name
    await assert.rejects(writeDevice(await pluginOf(own), 'eni'), /may not change status\.eni/)
    await assert.rejects(writeDevice(await pluginOf(other), 'device'), /own node only/)
    await assert.rejects(writeDevice(await pluginOf(), 'device'), /own node only/)
  })

  it('a device plugin removes its own finalizer only, and changes no claim', async () => {
    const plugin = await pluginOf(scenario.claimOf('upf')?.spec.nodeName)
    await assert.rejects(
      patchObject(plugin, { metadata: { finalizers: ['networking.k8s.aws/device'] } }),
      /may remove no finalizer but/,
    )
    await assert.rejects(patchObject(plugin, { spec: { claim: null } }), /may not change the spec/)
    await patchObject(plugin, { metadata: { finalizers: ['networking.k8s.aws/eni'] } })
  })

  it('a device plugin changes no labels and annotations, and hands no object to an owner that takes it along', async () => {
    const plugin = await pluginOf(scenario.claimOf('upf')?.spec.nodeName)
    const refused = /labels, annotations or owners/
    await assert.rejects(patchObject(plugin, { metadata: { labels: { forged: 'yes' } } }), refused)
    await assert.rejects(patchObject(plugin, { metadata: { annotations: { forged: 'yes' } } }), refused)
    const owner = { apiVersion: 'v1', kind: 'Pod', name: 'upf', uid: scenario.pod('upf')?.uid }
    await assert.rejects(patchObject(plugin, { metadata: { ownerReferences: [owner] } }), refused)
  })

  it('a device plugin writes events in namespace default, where those of Nodes are, and in no other', async () => {
    const plugin = await pluginOf(scenario.claimOf('upf')?.spec.nodeName)
    const writeEvent = (namespace: string, involvedObject: object) => {
      const body = { metadata: { generateName: 'node.', namespace }, involvedObject, type: 'Warning', reason: 'Tried' }
      return plugin.request('POST', eventsPath(namespace), { body, query: { dryRun: 'All' } })
    }
    await writeEvent('default', { kind: 'Node', name: twoNodes[0]?.name })
    const pod = { kind: 'Pod', name: 'upf', namespace: 'jit-eni' }
    await assert.rejects(writeEvent('jit-eni', pod), /cannot create resource "events"/)
  })

  it('the workloads of deploy/ are accepted by the API server', async () => {
    const workloads = deployManifests().filter(isWorkload)
    assert.equal(workloads.length, 3)
    const { cluster } = scenario.installation
    await cluster.kubectl(['apply', '--dry-run=server', '-f', '-'], { input: asStream(workloads) })
  })
})
