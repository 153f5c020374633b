// Where a pod with an ENI resource may go, and what happens when there is no place.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { network } from '../../sim/installation/account.ts'
import { Scenario } from './scenario.ts'
import { upfPod, userPlane } from './upf-manifests.ts'

describe('placement on real nodes', () => {
  let scenario: Scenario
  before(async () => {
    scenario = await Scenario.start({
      nodes: [
        // Three ENIs, of which the primary is one: two slots.
        { name: 'small', zone: 'a', instanceType: 'm5.large', labels: { ng: 'multi-eni', size: 'small' } },
        { name: 'far', zone: 'b', instanceType: 'm5.4xlarge', labels: { ng: 'multi-eni' } },
      ],
    })
  })
  afterEach(() => scenario.check())
  after(() => scenario[Symbol.asyncDispose]())

  it('a subnet in another zone keeps its NodeENI off the node', async () => {
    await scenario.nodeENIReady(userPlane('user-plane', { releaseAfter: '0s' }))
    await scenario.apply(upfPod('far-pod', 1, { nodeSelector: { 'kubernetes.io/hostname': 'far' } }))
    await scenario.until(
      'a reason',
      () => scenario.pod('far-pod')?.unschedulable?.includes("no subnet in the node's zone") ?? false,
    )
    await scenario.deletePods('far-pod')
  })

  it('a NodeENI in the other zone opens it', async () => {
    await scenario.nodeENIReady(userPlane('user-plane-far', { subnetID: network.farSubnet, releaseAfter: '0s' }))
    await scenario.apply(upfPod('far-pod', 1, { nodeSelector: { 'kubernetes.io/hostname': 'far' } }))
    await scenario.running('far-pod')
    assert.equal(scenario.claimOf('far-pod')?.spec.nodeENI, 'user-plane-far')
    await scenario.check()
    await scenario.deletePods('far-pod')
    await scenario.kubectl('delete', 'nodeeni', 'user-plane-far')
  })

  it('a pod that asks for two gets two, and their addresses in one variable, from an EC2 that throttles', async () => {
    await scenario.apply(upfPod('two', 2))
    await scenario.running('two')
    const creates = scenario.installation.ec2.calls.of('CreateNetworkInterface')
    assert.ok(creates.some(({ error }) => error === 'RequestLimitExceeded'))
    const log = await scenario.kubectl('logs', 'two')
    const [, list] = /^PCIDEVICE_INTEL_COM_UPF_DATAPLANE=(.*)$/m.exec(log) ?? []
    assert.equal(new Set(list?.split(',')).size, 2, log)
  })

  it('a pod without a free slot waits with the reason, and starts by itself when a slot frees', async () => {
    await scenario.apply(upfPod('waits'))
    await scenario.until('a reason', () => scenario.pod('waits')?.unschedulable?.includes('no free ENI slot') ?? false)
    await scenario.deletePods('two')
    await scenario.running('waits')
  })

  it('of two pods for the last slot one runs, and the other follows when it frees', async () => {
    await scenario.apply(upfPod('first'), upfPod('second'))
    const names = ['first', 'second'] as const
    await scenario.until('one runs', () => names.some((name) => scenario.pod(name)?.running))
    const winner = names.find((name) => scenario.pod(name)?.running) ?? 'first'
    const loser = winner === 'first' ? 'second' : 'first'
    await scenario.until('a reason', () => scenario.pod(loser)?.unschedulable?.includes('no free ENI slot') ?? false)
    await scenario.check()
    await scenario.deletePods(winner)
    await scenario.running(loser)
    await scenario.check()
    await scenario.deletePods(loser, 'waits')
  })

  it('a pod that is deleted while its bind waits leaves nothing behind', async () => {
    await scenario.apply(upfPod('short-lived'))
    await scenario.until(
      'its ENI is being attached',
      () => scenario.claimOf('short-lived')?.status?.eni?.attachmentID !== undefined,
    )
    await scenario.deletePods('short-lived')
    await scenario.until('its ENI is released', () => scenario.attachmentsOf('user-plane').length === 0)
  })

  it('a pod for which no NodeENI serves any node is told so', async () => {
    await scenario.kubectl('delete', 'nodeeni', '--all')
    await scenario.apply(upfPod('nobody'))
    await scenario.until(
      'a reason',
      () => scenario.pod('nobody')?.unschedulable?.includes('no NodeENI serves the resource') ?? false,
    )
    await scenario.deletePods('nobody')
    await scenario.clear()
    assert.deepEqual(
      scenario.installation.ec2.state.enis().map(({ eniId }) => eniId),
      scenario.installation.primaryEnis,
    )
  })
})
