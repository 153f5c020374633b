// DeleteSubnet: refused while an interface is in it, so an interface that leaked keeps a VPC from being deleted.

import type { Ec2State } from './ec2-state.ts'
import { refusals } from './refusals.ts'

export function deleteSubnet(state: Ec2State, subnetId: string): void {
  const subnet = state.subnet(subnetId)
  if (state.enis().some((eni) => eni.subnetId === subnetId)) throw refusals.subnetInUse(subnetId)
  state.removeSubnet(subnet)
}
