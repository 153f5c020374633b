// The small world for tests of rivals, on a virtual clock.

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { type Ec2, newEc2 } from '../../sim/ec2/new-ec2.ts'
import { attachNetworkInterface } from '../../sim/ec2/state/attach-network-interface.ts'
import { createNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'

import { smallWorld } from './small-world.ts'

const delays = { createMs: 0, attachMs: 1000, detachMs: 2500, deviceMs: 1000 }

export function rivalAccount() {
  const clock = new VirtualClock()
  return { clock, ec2: newEc2({ world: smallWorld, clock, delays }) }
}

export function attachedTo(ec2: Ec2, instanceId = 'i-large', deviceIndex = 1): string {
  const { eniId } = createNetworkInterface(ec2.state, {
    subnetId: 'subnet-a',
    tags: new Map([
      ['a', 'b'],
      ['c', 'd'],
    ]),
  })
  attachNetworkInterface(ec2.state, { eniId, instanceId, deviceIndex, networkCard: 0 })
  return eniId
}
