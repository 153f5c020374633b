// One instance as EC2 keeps it.

import type { InstanceType } from './instance-types.ts'

export type InstanceState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated'

export interface Instance {
  readonly serial: number
  readonly instanceId: string
  readonly instanceType: string
  readonly limits: InstanceType
  readonly subnetId: string
  readonly vpcId: string
  readonly availabilityZone: string
  /** Those that it was launched with. */
  readonly groupIds: readonly string[]
  readonly privateDnsName: string
  readonly launchTime: number
  readonly tags: Map<string, string>
  state: InstanceState
  ebsVolumes: number
}
