// ENIs without DPDK on a real kernel, by the manifests and network definitions that were written for the AWS Multi-ENI Controller: a plain
// one is the master of ipvlans in pods, and the interface of a device goes into its pod by host-device and comes back, whether the
// plugin is called at the end of the pod or its network namespace just ends. The standard CNI plugins do it, as Multus calls them.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, it } from 'node:test'
import { parse } from 'yaml'
import type { GuestNode } from '../../../sim/cluster/node/guest-node.ts'
import { network } from '../../../sim/installation/account.ts'
import { devicePluginsRolledOut } from '../../../sim/installation/device-plugin-pods.ts'
import type { HostLink } from '../../../src/device-plugin/host-links.ts'
import { heldDevices } from '../../cluster/kubelet-devices.ts'
import { type NodeENIManifest, upfPod } from '../../cluster/upf-manifests.ts'
import { askWhoHas } from '../arp.ts'
import { guestLinks, linkOnce } from '../guest-links.ts'
import type { Stage } from '../stage.ts'
import { controlNetwork, dataplaneNetwork, PodNetwork } from '../multus.ts'

const resource = 'intel.com/sriov_kernel'
/** The names of the NodeENIs are longer than what the CNI plugins of every distribution find. */
const interfaceNames: Readonly<Record<string, string>> = {
  'control-plane-eni': 'upf-control',
  'user-plane-sriov-eni': 'upf-dataplane',
}
const answerDeadlineMs = 30_000
/** In the subnets of upf-networks.yaml. */
const neighbours = { control: '10.1.0.1', dataplane: '192.168.100.1' }
const nodeName = 'able'

export function interfaces(stage: Stage): void {
  let node: GuestNode
  before(() => {
    node = stage.node(nodeName)
  })

  const deviceOf = (nodeENI: string) => stage.scenario.attachmentsOf(nodeENI)[0]?.status?.device
  const macOf = (nodeENI: string) =>
    stage.scenario.attachmentsOf(nodeENI)[0]?.status?.eni?.mac ?? assert.fail(`${nodeENI} has no ENI`)
  /** Resolves when it is as its NodeENI wants it. */
  const setUp = async (nodeENI: string, name: string) => {
    const altName = interfaceNames[nodeENI] ?? ''
    const isSetUp = (link: HostLink) =>
      link.name === name && link.isUp && link.mtu === 9001 && link.altNames.includes(altName)
    const link = await linkOnce(node, macOf(nodeENI), isSetUp)
    await stage.scenario.until(`${nodeENI} says so`, () => deviceOf(nodeENI)?.interface === name)
    return link
  }
  const assertAnswers = async (nodeENI: string, address: string, neighbour: string) => {
    const mac = macOf(nodeENI)
    const question = { who: address, tell: neighbour }
    assert.equal(await askWhoHas(node.cards.wire(mac), question, AbortSignal.timeout(answerDeadlineMs)), mac)
  }
  /** A pod of the resource that has it; its interface is not in the pod yet. */
  const runningWithDevice = async (name: string) => {
    await stage.scenario.apply(upfPod(name, 1, { containers: [container({ [resource]: '1' })] }))
    await stage.scenario.running(name)
    const held = await heldDevices(nodeName, node.podResourcesSocket)
    const device = held.find(({ pod }) => pod === `default/${name}`)
    return device?.pciAddress ?? assert.fail(`the kubelet gave no device to pod ${name}`)
  }

  it('case 1: a plain ENI is up, with its MTU, under the name that its NodeENI gives it, though udev renames it meanwhile', async () => {
    await stage.scenario.nodeENIReady(manifest('control-plane-eni'))
    await stage.scenario.until('its card is seen', () => deviceOf('control-plane-eni')?.seenTime !== undefined)
    await setUp('control-plane-eni', 'ens7')
    assert.equal(deviceOf('control-plane-eni')?.health, 'Healthy')
    // It was called otherwise when its card appeared.
    assert.match(await node.guest.run('dmesg'), /e1000e 0000:00:07\.0 ens7: renamed from eth\d/)
  })

  it('case 1: is the master of an ipvlan in a pod, to which frames come, and from which they go', async () => {
    await stage.scenario.apply(upfPod('control', 1, { containers: [container({})] }))
    await stage.scenario.running('control')
    const control = await PodNetwork.of(node, 'control', 'control0', controlNetwork('upf-control'))
    const address = await control.add()
    assert.match(await control.show(), /mtu 9001[^]*ipvlan +mode l2/)
    assert.match(await node.guest.run('cat', ['/proc/modules']), /^ipvlan /m)
    await assertAnswers('control-plane-eni', address, neighbours.control)
    const { uppers, uppersElsewhere } = await setUp('control-plane-eni', 'ens7')
    assert.deepEqual([uppers, uppersElsewhere], [[], 1])
  })

  it('case 2: the device of a pod goes into it by its PCI address, with frames, and back when the plugin is called', async () => {
    await stage.scenario.nodeENIReady(manifest('user-plane-sriov-eni'))
    const deviceID = await runningWithDevice('first')
    assert.equal(deviceID, '0000:00:08.0')
    await setUp('user-plane-sriov-eni', 'ens8')
    const dataplane = await PodNetwork.of(node, 'first', 'dataplane0', dataplaneNetwork(deviceID))
    const address = await dataplane.add()
    await dataplane.check()
    assert.match(await dataplane.show(), new RegExp(`UP[^]*mtu 9001[^]*${macOf('user-plane-sriov-eni')}`))
    await assertAnswers('user-plane-sriov-eni', address, neighbours.dataplane)
    await stage.scenario.until('it is out of sight', () => deviceOf('user-plane-sriov-eni')?.interface === undefined)
    assert.equal(deviceOf('user-plane-sriov-eni')?.health, 'Healthy')
    assert.equal(deviceOf('user-plane-sriov-eni')?.inUseBy?.name, 'first')

    await dataplane.del()
    await setUp('user-plane-sriov-eni', 'ens8')
    await stage.scenario.deletePods('first')
    await stage.scenario.until('it is free', () => deviceOf('user-plane-sriov-eni')?.inUseBy === undefined)
  })

  it('case 2: is known to a device plugin that starts while it is in a pod, and comes back although nobody calls', async () => {
    const deviceID = await runningWithDevice('second')
    const dataplane = await PodNetwork.of(node, 'second', 'dataplane0', dataplaneNetwork(deviceID))
    const address = await dataplane.add()
    await stage.scenario.until('it is out of sight', () => deviceOf('user-plane-sriov-eni')?.interface === undefined)
    await stage.scenario.kubectl('delete', 'pod', '-n', 'jit-eni', '-l', 'app.kubernetes.io/name=jit-eni-device-plugin')
    await devicePluginsRolledOut(stage.scenario.installation.cluster)
    const { health, advertised, inUseBy, pciAddress } = deviceOf('user-plane-sriov-eni') ?? {}
    assert.deepEqual([health, advertised, inUseBy?.name, pciAddress], ['Healthy', true, 'second', deviceID])
    await assertAnswers('user-plane-sriov-eni', address, neighbours.dataplane)
    assert.equal(stage.scenario.attachmentsOf('user-plane-sriov-eni').length, 1)

    await stage.scenario.deletePods('second')
    // Under the name that it had in the pod.
    await setUp('user-plane-sriov-eni', 'dataplane0')
    await stage.scenario.until('it is free', () => deviceOf('user-plane-sriov-eni')?.inUseBy === undefined)
  })

  it('case 2: is not released under its pod, and is as it was before us when its card goes', async () => {
    const deviceID = await runningWithDevice('third')
    const dataplane = await PodNetwork.of(node, 'third', 'dataplane0', dataplaneNetwork(deviceID))
    const address = await dataplane.add()
    await stage.scenario.until(
      'the interface is out of sight',
      () => deviceOf('user-plane-sriov-eni')?.interface === undefined,
    )
    await stage.scenario.kubectl('delete', 'nodeeni', 'user-plane-sriov-eni', '--wait=false')
    await stage.scenario.event('user-plane-sriov-eni', 'Releasing', /each goes when its pod has ended/)
    await assertAnswers('user-plane-sriov-eni', address, neighbours.dataplane)
    await assertReleasedAfter('third', 'user-plane-sriov-eni')
  })

  it('case 1: is not released under a pod that shares it, whose end nobody tells', async () => {
    const address = '10.1.0.100'
    const inUse = () => deviceOf('control-plane-eni')?.failure
    await stage.scenario.kubectl('delete', 'nodeeni', 'control-plane-eni', '--wait=false')
    await stage.scenario.until('its ENI waits for its release', () => inUse()?.reason === 'InterfaceInUse')
    assert.match(inUse()?.message ?? '', /interface ens7 .* carries 1 ipvlan or macvlan of other network namespaces/)
    await assertAnswers('control-plane-eni', address, neighbours.control)
    await setUp('control-plane-eni', 'ens7')
    await assertReleasedAfter('control', 'control-plane-eni')
    assert.deepEqual((await guestLinks(node)).filter(({ name }) => name.startsWith('ens')).length, 2)
  })

  /** What the interface was like before us: the last that the kernel says of it, but for its end. */
  const assertReleasedAfter = async (pod: string, nodeENI: string) => {
    const mac = macOf(nodeENI)
    const watch = await watchLinks(node)
    await stage.scenario.deletePods(pod)
    await stage.scenario.until(
      `the ENI of ${nodeENI} is released`,
      () => stage.scenario.attachmentsOf(nodeENI).length === 0,
    )
    const told = (await watch.end()).filter((line) => line.includes(mac) && !line.startsWith('Deleted'))
    const last = told.at(-1) ?? ''
    assert.match(last, /<BROADCAST,MULTICAST> mtu 1500 /)
    assert.ok(!last.includes(`altname ${interfaceNames[nodeENI]}`), last)
    assert.ok(
      told.some((line) => line.includes('mtu 9001')),
      told.join('\n'),
    )
  }
}

function container(limits: Readonly<Record<string, string>>): object {
  return { name: 'upf', image: 'localhost/upf-cnf:demo', imagePullPolicy: 'Never', resources: { limits } }
}

/** As it was written, with an interfaceName (docs/interfaces.md), in the subnet and the security group that the account has. */
function manifest(name: string): NodeENIManifest {
  const text = readFileSync(new URL(`../../api/manifests/${name}.yaml`, import.meta.url), 'utf8')
  const { spec, ...rest } = parse(text) as NodeENIManifest
  const { controlPlaneSubnet: subnetID, controlPlaneGroup } = network
  const interfaceName = interfaceNames[name]
  // A card of somebody else is at the address that it names.
  const dpdkPCIAddress = spec['dpdkPCIAddress'] === undefined ? undefined : '0000:00:08.0'
  return {
    ...rest,
    spec: { ...spec, dpdkPCIAddress, interfaceName, subnetID, securityGroupIDs: [controlPlaneGroup] },
  }
}

/** What the kernel says of its interfaces from now on. */
async function watchLinks({ guest }: GuestNode): Promise<{ readonly end: () => Promise<readonly string[]> }> {
  const file = '/run/link-monitor'
  const pid = await guest.script(`ip -d -o monitor link </dev/null >${file} 2>&1 & echo $!`)
  return {
    end: async () => {
      await guest.run('kill', [pid.trim()])
      return (await guest.run('cat', [file])).split('\n')
    },
  }
}
