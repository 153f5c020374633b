// ENIs without DPDK on real kubelets: the device plugin sets their interfaces up on both nodes under one name, and the interface of
// a device goes into its pod and comes back, by the host-device CNI plugin. The interfaces are real links.
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { runCommand } from '../../sim/cluster/run-command.ts'
import { network } from '../../sim/installation/account.ts'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { HostLink } from '../../src/device-plugin/host-links.ts'
import { hostDevice } from './host-device-plugin.ts'
import { runningContainers } from './running-containers.ts'
import { Scenario, twoNodes } from './scenario.ts'
import { dataplane, upfPod, userPlane } from './upf-manifests.ts'

const plain = {
  enableDPDK: false,
  dpdkResourceName: undefined,
  subnetID: network.controlPlaneSubnet,
  securityGroupIDs: [network.controlPlaneGroup],
}

describe('ENIs without DPDK', () => {
  let scenario: Scenario
  before(async () => {
    scenario = await Scenario.start({ nodes: twoNodes })
  })
  afterEach(() => scenario.check())
  after(() => scenario[Symbol.asyncDispose]())

  const linkOf = async (nodeName: string, mac: string | undefined): Promise<HostLink> => {
    const shown = await scenario.installation.bus(nodeName).links.show()
    const link = shown.kind === 'shown' ? shown.links.find((seen) => seen.mac === mac) : undefined
    assert.ok(link, `${nodeName} has no link with MAC ${mac}`)
    return link
  }
  /** The call for the one container of the pod `name`. */
  const hostDeviceCall = (nodeName: string, name: string, mac: string) => {
    const { cluster } = scenario.installation
    const [container] = runningContainers(path.basename(cluster.runDir), `HOSTNAME=${name}`)
    const { pid, containerID } = container ?? assert.fail(`pod ${name} has no container`)
    const nodeNamespace =
      scenario.installation.bus(nodeName).networkNamespace ?? assert.fail('the node has no namespace')
    return { pluginDir: cluster.node(nodeName).cniPluginDir, nodeNamespace, pid, containerID, mac }
  }
  /** By its final name: udev renames an interface some time after it has appeared. */
  const isSetUp = ({ status }: ENIAttachment) =>
    status?.device?.health === 'Healthy' && status.device.interface?.startsWith('ens') === true

  it('are up on every node, with the MTU and under the name of their NodeENI', async () => {
    await scenario.nodeENIReady(userPlane('upf-control', { ...plain, mtu: 1400 }))
    await scenario.until(
      'an interface on each node',
      () => scenario.attachmentsOf('upf-control').filter(isSetUp).length === twoNodes.length,
    )
    for (const { spec, status } of scenario.attachmentsOf('upf-control')) {
      const link = await linkOf(spec.nodeName, status?.eni?.mac)
      assert.deepEqual([link.isUp, link.mtu, link.altNames], [true, 1400, ['upf-control']])
      assert.equal(status?.device?.interface, link.name)
    }
  })

  it('go into a pod as its device, are known when the device plugin is killed meanwhile, and are set up again', async () => {
    await scenario.nodeENIReady(userPlane('upf-data', { enableDPDK: false, mtu: 1400, interfaceName: 'upf-data0' }))
    await scenario.apply(upfPod('first'))
    await scenario.running('first')
    const [attachment] = scenario.attachmentsOf('upf-data')
    const { nodeName } = attachment?.spec ?? assert.fail('there is no ENI')
    const { eni } = attachment?.status ?? {}
    assert.deepEqual((await linkOf(nodeName, eni?.mac)).altNames, ['upf-data0'])

    const call = hostDeviceCall(nodeName, 'first', eni?.mac ?? '')
    await hostDevice('ADD', call)
    const inPod = await runCommand('nsenter', [`--net=/proc/${call.pid}/ns/net`, 'ip', 'link', 'show', 'dev', 'net1'])
    assert.match(inPod, new RegExp(`mtu 1400[^]*${eni?.mac}`))
    const now = () => scenario.attachmentsOf('upf-data')[0]?.status?.device
    await scenario.until('the interface is out of sight', () => now()?.interface === undefined)
    const plugin = scenario.installation.devicePlugin(nodeName)
    await plugin.kill()
    plugin.start()
    await scenario.until(
      'the device is known again',
      () => now()?.advertised === true && now()?.inUseBy?.name === 'first',
    )
    await hostDevice('DEL', call)
    await scenario.until('the interface is set up again', () => now()?.interface?.startsWith('ens') === true)
    await scenario.deletePods('first')
    await scenario.until('the device is free', () => now()?.inUseBy === undefined)

    await scenario.apply(upfPod('second', 1, { nodeSelector: { 'kubernetes.io/hostname': nodeName } }))
    await scenario.running('second')
    assert.equal(scenario.attachmentsOf('upf-data').length, 1, `a second ENI was made for ${dataplane}`)
    const link = await linkOf(nodeName, eni?.mac)
    assert.deepEqual([link.isUp, link.mtu, link.altNames], [true, 1400, ['upf-data0']])
  })

  it('are released, and what else is on the nodes is as it was', async () => {
    await scenario.clear()
    for (const { name } of twoNodes) {
      const shown = await scenario.installation.bus(name).links.show()
      assert.ok(shown.kind === 'shown')
      assert.deepEqual(shown.links.map(({ name: link }) => link).toSorted(), ['ens5', 'lo'])
    }
  })
})
