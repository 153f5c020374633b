// A node loses power under a running pod and boots again: the cards are found anew with other IOMMU groups, the containers are gone, the
// kubelet's checkpoint is there. Whether the pod comes back depends on who is there first, the device plugin or the kubelet; either
// way a pod of the Deployment runs again, with the device that its environment names, and nothing leaks.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { ObservedPod } from '../../sim/installation/observer.ts'
import { Scenario, twoNodes } from './scenario.ts'
import { upfPod, userPlane } from './upf-manifests.ts'

const nodeName = twoNodes[0]?.name ?? ''
/** Cards of others, in front of ours: one for each boot from which it is missing. */
const foreignMacs = ['06:00:00:00:00:01', '06:00:00:00:00:02']

describe('a node reboots', () => {
  let scenario: Scenario
  before(async () => {
    scenario = await Scenario.start({ nodes: twoNodes.slice(0, 1) })
    await scenario.nodeENIReady(userPlane('user-plane'))
    for (const mac of foreignMacs) {
      await scenario.installation.bus(nodeName).plug({ mac, eniId: `eni-of-others-${mac}`, deviceIndex: 20 })
    }
    await scenario.apply(upfDeployment())
    await scenario.until('the Deployment runs', () => runningPod() !== undefined)
  })
  afterEach(() => scenario.check())
  after(() => scenario[Symbol.asyncDispose]())

  const pods = () => scenario.observer.allPods().filter(({ name }) => name.startsWith('upf-'))
  const runningPod = (): ObservedPod | undefined => pods().find(({ running, deleting }) => running && !deleting)

  const groupOf = (pciAddress: string | undefined) =>
    scenario.installation
      .bus(nodeName)
      .cards()
      .find(({ bdf }) => bdf === pciAddress)?.iommuGroup

  const deviceOf = (pod: ObservedPod | undefined) =>
    scenario.observer.allAttachments().find(({ spec }) => spec.claim?.uid === pod?.uid)?.status

  /** The group numbers after the boot are lower by one, because a card in front of ours is gone. */
  const losePower = async () => {
    const { installation } = scenario
    await installation.bus(nodeName).unplug({ mac: foreignMacs.pop() ?? '' })
    await Promise.all([installation.devicePlugin(nodeName).kill(), installation.cluster.node(nodeName).powerOff()])
    await installation.bus(nodeName).reboot()
    await installation.cluster.node(nodeName).boot()
  }

  it('the device plugin comes after the kubelet: the pod is refused, and its Deployment replaces it', async () => {
    const lost = runningPod()
    const { pciAddress } = deviceOf(lost)?.device ?? {}
    const group = groupOf(pciAddress)
    await losePower()
    assert.notEqual(groupOf(pciAddress), group, 'the card has another group after the boot')
    await scenario.installation.cluster.node(nodeName).startKubelet()
    const itself = () => pods().find(({ uid }) => uid === lost?.uid)
    await scenario.until('the pod is refused', () => itself()?.phase === 'Failed')
    assert.equal(itself()?.reason, 'UnexpectedAdmissionError', itself()?.message)
    await scenario.event(lost?.name ?? '', 'DeviceNotReady', /its controller makes another/)
    scenario.installation.devicePlugin(nodeName).start()
    await scenario.until('another pod of the Deployment runs', () => runningPod() !== undefined)
    assert.notEqual(runningPod()?.uid, lost?.uid)
    await hasItsDevice(runningPod())
    // A pod that has failed stays in the API until somebody deletes it.
    await scenario.kubectl('delete', 'pod', lost?.name ?? '', '--wait=true')
  })

  it('the device plugin is there before the kubelet: the same pod runs again, on the new group', async () => {
    const earlier = runningPod()
    const { pciAddress } = deviceOf(earlier)?.device ?? {}
    const group = groupOf(pciAddress)
    await losePower()
    const plugin = scenario.installation.devicePlugin(nodeName)
    const bound = scenario.line(plugin, 'the card is bound again', (line) => {
      return line.msg === 'card bound' && line['pciAddress'] === pciAddress
    })
    plugin.start()
    await bound
    const allocations: unknown[] = []
    const stopCounting = plugin.onLine(({ msg }) => {
      if (msg === 'device allocated') allocations.push(msg)
    })
    await scenario.installation.cluster.node(nodeName).startKubelet()
    const restarted = '--for=jsonpath={.status.containerStatuses[0].restartCount}=1'
    await scenario.kubectl('wait', 'pod', earlier?.name ?? '', restarted, '--timeout=60s')
    await scenario.until('the pod runs', () => runningPod() !== undefined)
    stopCounting()
    assert.equal(runningPod()?.uid, earlier?.uid)
    assert.notEqual(groupOf(pciAddress), group, 'the card has another group after the boot')
    await hasItsDevice(runningPod())
    assert.deepEqual(allocations, [], 'the kubelet has replayed the answer that it had stored')
  })

  it('nothing has leaked', async () => {
    await scenario.clear()
    const { ec2, primaryEnis } = scenario.installation
    assert.deepEqual(
      ec2.state.enis().map(({ eniId }) => eniId),
      primaryEnis,
    )
  })

  /** As its container tells: the variable names a card, and the node of that card's group is there. */
  const hasItsDevice = async (pod: ObservedPod | undefined) => {
    const log = await scenario.kubectl('logs', pod?.name ?? '')
    const [, pciAddress] = /^PCIDEVICE_INTEL_COM_UPF_DATAPLANE=(.*)$/m.exec(log) ?? []
    assert.match(log, new RegExp(`^c.* ${groupOf(pciAddress)}$`, 'm'))
  }
})

function upfDeployment(): object {
  const { spec } = upfPod('upf') as { spec: object }
  const labels = { app: 'upf' }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'upf', namespace: 'default' },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec },
    },
  }
}
