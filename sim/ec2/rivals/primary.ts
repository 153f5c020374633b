// The interface that an instance was launched with.

import type { Ec2State } from '../state/ec2-state.ts'
import type { NetworkInterface } from '../state/network-interface.ts'

/** Undefined once the instance is gone. */
export function primaryOf(state: Ec2State, instanceId: string): NetworkInterface | undefined {
  return state
    .enisOn(instanceId)
    .find(({ attachment }) => attachment?.networkCard === 0 && attachment.deviceIndex === 0)
}
