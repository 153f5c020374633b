// Cards of a guest that are not ours, and must be at the end as they were at the start: the primary one, and one that somebody has
// attached by hand in EC2, named, and given its address.
import assert from 'node:assert/strict'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import { attachNetworkInterface } from '../../sim/ec2/state/attach-network-interface.ts'
import { createNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'
import type { NetworkInterface } from '../../sim/ec2/state/network-interface.ts'
import { DriverWrites } from '../../sim/guest/driver-writes.ts'
import type { Installation } from '../../sim/installation/installation.ts'
import type { Scenario } from '../cluster/scenario.ts'
import { type CardPicture, pictureOf } from './card-picture.ts'
import { setUpByHand } from './set-up-by-hand.ts'

/** The last one that the instances of these tests have, so that it is in the way of no NodeENI. */
const deviceIndex = 7

interface Watched {
  readonly node: GuestNode
  readonly eni: NetworkInterface
  readonly writes: DriverWrites
  readonly macs: readonly string[]
  readonly before: readonly CardPicture[]
}

export class ForeignCards {
  readonly #watched: readonly Watched[]

  private constructor(watched: readonly Watched[]) {
    this.#watched = watched
  }

  /** To every guest, before the first NodeENI. */
  static async attach(scenario: Scenario): Promise<ForeignCards> {
    const { installation } = scenario
    const watched = installation.cluster.guests.map(async (node) => {
      const writes = await DriverWrites.record(node.guest)
      const eni = attachByHand(installation, node.name)
      await setUp(node, eni)
      scenario.leaveAlone(eni.eniId)
      const macs = [node.guest.primary.mac, eni.mac]
      return { node, eni, writes, macs, before: await pictureOf(node, macs) }
    })
    return new ForeignCards(await Promise.all(watched))
  }

  /** Driver, override, interface and all that is set on it are as they were, and nobody ever wrote to what changes a driver. */
  async check(): Promise<void> {
    for (const { node, writes, macs, before } of this.#watched) {
      assert.deepEqual(await pictureOf(node, macs), before)
      for (const { pciAddress } of before) assert.deepEqual(await writes.to(pciAddress), [])
    }
  }

  get enis(): string[] {
    return this.#watched.map(({ eni }) => eni.eniId)
  }

  /** After a boot of the node, which has taken away what was set up, and the record of writes. */
  async setUpAgain({ name }: GuestNode): Promise<void> {
    const { node, eni } = this.#of(name)
    await DriverWrites.record(node.guest)
    await setUp(node, eni)
  }

  /** What was written to files that change the driver of any card of the guest. */
  writes(nodeName: string): DriverWrites {
    return this.#of(nodeName).writes
  }

  #of(nodeName: string): Watched {
    return this.#watched.find(({ node }) => node.name === nodeName) ?? assert.fail(`${nodeName} is no guest`)
  }
}

async function setUp({ guest }: GuestNode, { mac, privateIpAddresses }: NetworkInterface): Promise<void> {
  await setUpByHand(guest, mac, privateIpAddresses[0] ?? '')
}

/** Without tags, and with no call that the tests could take for one of ours. */
function attachByHand(installation: Installation, nodeName: string): NetworkInterface {
  const { state } = installation.ec2
  const instanceId = installation.instanceId(nodeName)
  const [primary] = state.enisOn(instanceId)
  assert.ok(primary)
  const { eniId } = createNetworkInterface(state, { subnetId: primary.subnetId })
  attachNetworkInterface(state, { eniId, instanceId, networkCard: 0, deviceIndex })
  return state.eni(eniId)
}
