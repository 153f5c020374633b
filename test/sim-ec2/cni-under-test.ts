// The VPC CNI’s ipamd on i-large of the small world, on a virtual clock.

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { type Ec2, newEc2 } from '../../sim/ec2/new-ec2.ts'
import { VpcCni, type VpcCniOptions } from '../../sim/ec2/rivals/vpc-cni.ts'
import { attachNetworkInterface } from '../../sim/ec2/state/attach-network-interface.ts'
import { createNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'
import { seededRandom } from '../../sim/ec2/state/duration.ts'
import type { NetworkInterface } from '../../sim/ec2/state/network-interface.ts'

import { smallWorld } from './small-world.ts'

export const nodeTag = 'node.k8s.amazonaws.com/instance_id'
export const createdAtTag = 'node.k8s.amazonaws.com/createdAt'
export const noManageTag = 'node.k8s.amazonaws.com/no_manage'
const startMs = Date.UTC(2026, 0, 1)
const delays = { createMs: 500, attachMs: 1500, detachMs: 2500, deviceMs: 1500 }

/** i-large has three slots on one card; i-cards has two on each of 32. */
export function cniUnderTest(options: Partial<VpcCniOptions> = {}) {
  const clock = new VirtualClock({ startMs })
  const ec2 = newEc2({ world: smallWorld, clock, delays })
  const cni = new VpcCni(ec2, { instanceId: 'i-large', random: seededRandom(1), ...options })
  const attachForeign = (
    deviceIndex: number,
    tags: Record<string, string> = {},
    instanceId = 'i-large',
    networkCard = 0,
  ) => {
    const { eniId } = createNetworkInterface(ec2.state, { subnetId: 'subnet-a', tags: new Map(Object.entries(tags)) })
    attachNetworkInterface(ec2.state, { eniId, instanceId, deviceIndex, networkCard })
    return ec2.state.eni(eniId)
  }
  return { clock, ec2, cni, attachForeign }
}

/** What happens in that time. */
export async function during<Result>(clock: VirtualClock, ms: number, work: Promise<Result>): Promise<Result> {
  await clock.advance(ms)
  return work
}

/** By ids; the clean-up goes by filters. */
export const looks = (ec2: Ec2) =>
  ec2.calls.of('DescribeNetworkInterfaces').filter(({ parameters }) => 'NetworkInterfaceId.1' in parameters)
export const callsOf = (ec2: Ec2) => [...ec2.calls].map(({ action }) => action)
export const mine = (ec2: Ec2): NetworkInterface[] =>
  ec2.state.enis().filter((eni) => eni.description.startsWith('aws-K8S-i-large'))

/** The SDK reads its configuration files once in a process, in real time. */
export async function firstCall(): Promise<void> {
  const { ec2, cni } = cniUnderTest()
  cni.start()
  await new Promise((resolve) => ec2.calls.on(resolve))
  cni.stop()
}
