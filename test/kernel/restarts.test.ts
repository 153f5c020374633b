// The kubelet of a real node dies under a pod that forwards packets: not one is lost, nobody writes to a card, the device plugin
// registers again, and the next pod gets a new ENI.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import { deviceKey } from '../../src/device-plugin/occupancy.ts'
import { PodResourcesClient } from '../../src/device-plugin/pod-resources.ts'
import type { ObservedPod } from '../../sim/installation/observer.ts'
import { holdingOf } from '../cluster/held-cards.ts'
import type { Scenario } from '../cluster/scenario.ts'
import { dataplane, upfPod, userPlane } from '../cluster/upf-manifests.ts'
import { eventually } from './eventually.ts'
import { endGuests, guestNode, metal, noGuests, startGuests } from './guests.ts'
import { PacketFlow, type Passed } from '../../sim/guest/packet-flow.ts'
import { testpmdPod } from './testpmd-pod.ts'

const nodeName = 'node-a'
/** So many packets are awaited while the kubelet is away. */
const packets = 500

describe('a real node whose kubelet dies', { skip: noGuests }, () => {
  let scenario: Scenario
  let node: GuestNode
  let kubelet: PodResourcesClient
  before(async () => {
    scenario = await startGuests(guestNode(nodeName, metal))
    node = scenario.installation.cluster.guest(nodeName)
    kubelet = new PodResourcesClient(node.podResourcesSocket)
    await scenario.nodeENIReady(userPlane('user-plane'))
    await scenario.apply(forwarding())
    await scenario.until('the Deployment runs', () => forwarder()?.running === true)
  })
  afterEach(() => scenario.check())
  after(async () => {
    kubelet.close()
    await endGuests(scenario)
  })

  /** Not ready, while its kubelet is away for long. */
  const forwarder = (): ObservedPod | undefined =>
    podsOfOurs().find(({ name, phase, deleting }) => name.startsWith('fwd-') && phase === 'Running' && !deleting)

  const startFlow = async (): Promise<PacketFlow> => {
    const uid = forwarder()?.uid
    const its = scenario.observer.allAttachments().filter(({ spec }) => spec.claim?.uid === uid)
    const [to = '', from = ''] = its.map(({ status }) => status?.eni?.mac)
    return PacketFlow.start({ to, into: node.cards.wire(to), outOf: node.cards.wire(from) })
  }

  /** The kubelet starts without a device, and has them when the device plugin has registered. */
  const resourceIsBack = async () => {
    const { devices } = await holdingOf(scenario, forwarder()?.name ?? assert.fail('no pod of the Deployment'))
    assert.equal(devices.length, 2)
    await eventually('the kubelet can allocate the devices that it has given', async () => {
      const allocatable = await kubelet.allocatable()
      return devices.every(({ pciAddress }) => allocatable.has(deviceKey(dataplane, pciAddress)))
    })
  }

  /** Every entry of the journal with the time of its last write, and what steers each card to a driver. */
  const cardFiles = async () => ({
    journal: await node.guest.script('cd /var/lib/jit-eni/cards; stat -c "%n %y" *; cat *'),
    overrides: await node.guest.script('cd /sys/bus/pci/devices; for card in *; do cat $card/driver_override; done'),
    cards: await node.cards.list(),
  })

  const podsOfOurs = (): ObservedPod[] => scenario.observer.allPods().filter(({ namespace }) => namespace === 'default')

  const whatMustStay = async () => ({
    pods: await Promise.all(podsOfOurs().map(async ({ name }) => ({ name, ...(await holdingOf(scenario, name)) }))),
    files: await cardFiles(),
  })

  it('the kubelet is killed: no packet is lost, everything is as it was, and the next pod gets a new ENI', async () => {
    const earlier = await whatMustStay()
    assert.equal(earlier.pods[0]?.devices.length, 2)
    assert.equal(earlier.pods[0]?.container.restarts, 0)
    await using flow = await startFlow()
    const passed = await flow.during(async () => {
      await node.killKubelet()
      await flow.more(packets)
      await node.startKubelet()
      await resourceIsBack()
    })
    console.log(`# the kubelet is killed: ${shown(passed)}`)
    assert.deepEqual(passed.lost, [])
    assert.ok(passed.sent >= packets)
    assert.deepEqual(await whatMustStay(), earlier)

    const attached = scenario.attachmentsOf('user-plane').length
    await scenario.apply(upfPod('next'))
    await scenario.running('next')
    assert.equal(scenario.attachmentsOf('user-plane').length, attached + 1)
  })
})

function shown({ sent, lost }: Passed): string {
  return `${sent} packets sent, ${sent - lost.length} came back`
}

function forwarding(): object {
  // So that a kubelet that starts has an emulated processor to do it on.
  const { spec } = testpmdPod('fwd', { enis: 2, cpu: '300m' }) as { spec: object }
  const labels = { app: 'fwd' }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'fwd', namespace: 'default' },
    spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  }
}
