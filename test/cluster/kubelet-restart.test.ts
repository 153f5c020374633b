// A kubelet that restarts under a running pod: the pod survives, its device stays its own, and the resource comes back.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { Scenario, twoNodes } from './scenario.ts'
import { dataplane, upfPod, userPlane } from './upf-manifests.ts'

describe('a kubelet restarts', () => {
  let scenario: Scenario
  before(async () => {
    scenario = await Scenario.start({ nodes: twoNodes.slice(0, 1) })
    await scenario.nodeENIReady(userPlane('user-plane'))
  })
  afterEach(() => scenario.check())
  after(() => scenario[Symbol.asyncDispose]())

  it('the pod goes on, the resource comes back, and the next pod gets another ENI on the same node', async () => {
    const nodeName = twoNodes[0]?.name ?? ''
    await scenario.apply(upfPod('stays'))
    await scenario.running('stays')
    await scenario.nodeShows(nodeName, 1)
    const held = scenario.claimOf('stays')
    const plugin = scenario.installation.devicePlugin(nodeName)
    const registered = scenario.line(
      plugin,
      'the resource is registered again',
      ({ msg, resource }) => msg === 'resource registered' && resource === dataplane,
    )
    await scenario.installation.cluster.node(nodeName).restartKubelet()
    await registered
    await scenario.kubectl('wait', 'node', nodeName, '--for=condition=Ready', '--timeout=60s')
    await scenario.apply(upfPod('comes'))
    await scenario.running('stays', 'comes')
    await scenario.nodeShows(nodeName, 2)
    const restarts = await scenario.kubectl(
      'get',
      'pod',
      'stays',
      '-o',
      'jsonpath={.status.containerStatuses[0].restartCount}',
    )
    assert.equal(restarts, '0')
    assert.equal(scenario.claimOf('stays')?.metadata.uid, held?.metadata.uid)
    assert.notEqual(scenario.claimOf('comes')?.metadata.uid, held?.metadata.uid)
  })
})
