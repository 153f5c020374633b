// Kubelet, device plugin and container runtime of a real node die under a pod that forwards packets: not one is lost, nobody writes to
// a card, and the next pod gets a new ENI. Then the node reboots, and its cards come up in other IOMMU groups: no pod gets the card of
// another.
import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import type { GuestNode } from '../../../sim/cluster/node/guest-node.ts'
import { environmentName } from '../../../src/device-plugin/allocation.ts'
import { deviceKey } from '../../../src/device-plugin/occupancy.ts'
import { PodResourcesClient } from '../../../src/device-plugin/pod-resources.ts'
import type { ObservedPod } from '../../../sim/installation/observer.ts'
import { holdingOf } from '../../cluster/held-cards.ts'
import type { Stage } from '../stage.ts'
import { dataplane, upfPod, userPlane } from '../../cluster/upf-manifests.ts'
import { eventually } from '../eventually.ts'
import {
  cardsToldTo,
  containerOf,
  type GuestContainer,
  groupPathsOf,
  groupsIn,
  groupsOf,
  reportedContainerOf,
} from '../guest-container.ts'
import { PacketFlow, type Passed } from '../../../sim/guest/packet-flow.ts'
import { testpmdPod } from '../testpmd-pod.ts'

const nodeName = 'node-a'
const pluginNamespace = 'jit-eni'
/** So many packets are awaited while somebody is away. */
const packets = 500
/** A card of somebody, in front of ours: a boot numbers groups by the places of the cards, so that ours follow when it goes. */
const inFront = { id: 'in-front', mac: '06:00:00:00:00:02' }

export function restarts(stage: Stage): void {
  let node: GuestNode
  let kubelet: PodResourcesClient
  before(async () => {
    node = stage.node(nodeName)
    kubelet = new PodResourcesClient(node.podResourcesSocket)
    await node.cards.plug(inFront)
    // What is idle stays, so that a reboot has cards to mix up.
    await stage.scenario.nodeENIReady(userPlane('user-plane', { releaseAfter: '1h' }))
    await stage.scenario.apply(forwarding())
    await stage.scenario.until('the Deployment runs', () => forwarder()?.running === true)
  })
  after(() => kubelet.close())

  /** Not ready, while its kubelet is away for long. */
  const forwarder = (): ObservedPod | undefined =>
    podsOfOurs().find(({ name, phase, deleting }) => name.startsWith('fwd-') && phase === 'Running' && !deleting)

  const startFlow = async (): Promise<PacketFlow> => {
    const uid = forwarder()?.uid
    const its = stage.scenario.observer.allAttachments().filter(({ spec }) => spec.claim?.uid === uid)
    const [to = '', from = ''] = its.map(({ status }) => status?.eni?.mac)
    return PacketFlow.start({ to, into: node.cards.wire(to), outOf: node.cards.wire(from) })
  }

  const devicePlugin = (): ObservedPod | undefined =>
    stage.scenario.observer.allPods().find(({ namespace }) => namespace === pluginNamespace)

  const pluginContainer = () =>
    containerOf(stage.scenario.observer, node, devicePlugin() ?? assert.fail('there is no device plugin'))

  const kill = ({ pid }: GuestContainer) => node.guest.script(`kill -KILL ${pid}`)

  /** Another container of it has started. On a busy node it registers long before it answers its readiness probe in time. */
  const pluginStartsAgain = async (earlier: { readonly id: string }) => {
    await eventually('another container of the device plugin', async () => {
      const reported = await reportedContainerOf(stage.scenario.observer, devicePlugin() ?? assert.fail())
      return reported.id !== earlier.id
    })
  }

  /** The kubelet starts without pods and devices, and has them when it has looked and the device plugin has registered. */
  const resourceIsBack = async () => {
    const name = forwarder()?.name ?? assert.fail('no pod of the Deployment')
    await eventually('the kubelet lists the devices that it has given, and can allocate them', async () => {
      const [{ devices }, allocatable] = await Promise.all([holdingOf(stage.scenario, name), kubelet.allocatable()])
      return (
        devices.length === 2 && devices.every(({ pciAddress }) => allocatable.has(deviceKey(dataplane, pciAddress)))
      )
    })
  }

  /** Every entry of the journal with the time of its last write, and what steers each card to a driver. */
  const cardFiles = async () => ({
    journal: await node.guest.script('cd /var/lib/jit-eni/cards; stat -c "%n %y" *; cat *'),
    overrides: await node.guest.script('cd /sys/bus/pci/devices; for card in *; do cat $card/driver_override; done'),
    cards: await node.cards.list(),
  })

  const podsOfOurs = (): ObservedPod[] =>
    stage.scenario.observer.allPods().filter(({ namespace }) => namespace === 'default')

  const whatMustStay = async () => ({
    pods: await Promise.all(
      podsOfOurs().map(async ({ name }) => ({ name, ...(await holdingOf(stage.scenario, name)) })),
    ),
    files: await cardFiles(),
  })

  const killed: Readonly<Record<string, () => Promise<void>>> = {
    kubelet: async () => {
      await node.killKubelet()
      await packetsFlow()
      await node.startKubelet()
      await resourceIsBack()
    },
    'device plugin': async () => {
      const earlier = await pluginContainer()
      await kill(earlier)
      await packetsFlow()
      await pluginStartsAgain(earlier)
      await resourceIsBack()
    },
    containerd: async () => {
      await node.killContainerd()
      await packetsFlow()
      await node.startContainerd()
    },
    'all at once': async () => {
      const earlier = await pluginContainer()
      await Promise.all([kill(earlier), node.killKubelet(), node.killContainerd()])
      await packetsFlow()
      await node.startContainerd()
      await node.startKubelet()
      await pluginStartsAgain(earlier)
      await resourceIsBack()
    },
  }
  let flow: PacketFlow
  const packetsFlow = () => flow.more(packets)

  for (const [index, [who, restart]] of Object.entries(killed).entries()) {
    it(`${who} killed: no packet is lost, everything is as it was, and the next pod gets a new ENI`, async () => {
      const earlier = await whatMustStay()
      const held = earlier.pods.flatMap(({ devices }) => devices)
      assert.equal(held.length, 1 + earlier.pods.length, 'two of the Deployment, and one of each other pod')
      assert.ok(earlier.pods.every(({ container }) => container.restarts === 0))
      flow = await startFlow()
      await using _ = flow
      const passed = await flow.during(restart)
      console.log(`# ${who} killed: ${shown(passed)}`)
      assert.deepEqual(passed.lost, [])
      assert.ok(passed.sent >= packets)
      assert.deepEqual(await whatMustStay(), earlier)

      const name = `next-${index}`
      const attached = stage.scenario.attachmentsOf('user-plane').length
      await stage.scenario.apply(upfPod(name))
      await stage.scenario.running(name)
      assert.equal(stage.scenario.attachmentsOf('user-plane').length, attached + 1)
    })
  }

  /** What each pod was told, and what it has: by name of the pod. */
  const devicesOf = async (pods: readonly ObservedPod[]) => {
    const each = pods.map(async (pod) => {
      const container = await containerOf(stage.scenario.observer, node, pod)
      const told = await cardsToldTo(node, container, environmentName(dataplane))
      return [pod.name, { told, groups: await groupsIn(node, container) }] as const
    })
    return new Map(await Promise.all(each))
  }

  const eachHasItsGroups = async (pods: readonly ObservedPod[]) => {
    const devices = await devicesOf(pods)
    for (const [name, { told, groups }] of devices) {
      assert.deepEqual(groups, await groupsOf(node, told), `${name} has the groups of ${told.join()}`)
    }
    const all = [...devices.values()].flatMap(({ told }) => told)
    assert.equal(new Set(all).size, all.length, 'no card is in two pods')
    return devices
  }

  const packetsComeBack = async () => {
    flow = await startFlow()
    await using _ = flow
    const passed = await flow.during(packetsFlow)
    console.log(`# after the boot: ${shown(passed)}`)
    assert.deepEqual(passed.lost, [])
  }

  const eniIDs = () => stage.scenario.attachmentsOf('user-plane').map(({ status }) => status?.eni?.eniID)

  it('the node reboots, and the device plugin comes after the kubelet: pods are refused, and the Deployment makes another', async () => {
    const lost = podsOfOurs()
    const devices = await eachHasItsGroups(lost)
    const enis = eniIDs()
    // Ours have the next boot's numbers of those before them.
    await node.cards.unplug(inFront.mac)
    await node.reboot()
    await stage.foreign.setUpAgain(node)
    const itself = ({ uid }: ObservedPod) => podsOfOurs().find((pod) => pod.uid === uid)
    await stage.scenario.until('all pods are refused', () => lost.every((pod) => itself(pod)?.phase === 'Failed'))
    for (const pod of lost) {
      assert.equal(itself(pod)?.reason, 'UnexpectedAdmissionError', itself(pod)?.message)
      await stage.scenario.event(pod.name, 'DeviceNotReady', /its controller makes another/)
    }
    await stage.scenario.until('another pod of the Deployment runs', () => forwarder()?.running === true)
    for (const { told, groups } of devices.values()) {
      const earlier = groups.map(({ path }) => path)
      assert.notDeepEqual(await groupPathsOf(node, told), earlier, 'the groups have other numbers')
    }
    await eachHasItsGroups(podsOfOurs().filter(({ running }) => running))
    await packetsComeBack()
    // The new pod may have come before the claims of those that were refused were free: then it has ENIs of its own.
    const now = eniIDs()
    assert.ok(
      enis.every((eniID) => now.includes(eniID)),
      now.join(),
    )
    // A pod that has failed stays in the API until somebody deletes it.
    await stage.scenario.deletePods(...lost.map(({ name }) => name))
  })
}

function shown({ sent, lost }: Passed): string {
  return `${sent} packets sent, ${sent - lost.length} came back`
}

function forwarding(): object {
  // So that those who restart have an emulated processor to do it on.
  const { spec } = testpmdPod('fwd', { enis: 2, cpu: '300m' }) as { spec: object }
  const labels = { app: 'fwd' }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'fwd', namespace: 'default' },
    spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  }
}
