// DeleteNetworkInterface: only what is attached nowhere; its addresses are free at once.

import type { Ec2State } from './ec2-state.ts'
import { refusals } from './refusals.ts'

export function deleteNetworkInterface(state: Ec2State, eniId: string): void {
  const eni = state.knownEni(eniId)
  // Not a code of its own: EC2 says InvalidParameterValue here (VPC CNI issue 1399).
  if (eni.attachment !== undefined) throw refusals.deleteInUse(eniId)
  state.removeEni(eni)
}
