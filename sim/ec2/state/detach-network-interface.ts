// DetachNetworkInterface: asks the guest for the card and frees the slot when the guest has let go. An instance that ends meanwhile
// leaves the interface behind: DeleteOnTermination is lost already (VPC CNI issues 69, 608, 1223).

import type { Ec2State } from './ec2-state.ts'
import { refusals } from './refusals.ts'
import { Gate } from './stuck-transitions.ts'

export interface DetachNetworkInterface {
  readonly attachmentId: string
  /** Waits neither for the guest nor for what is stuck. */
  readonly force?: boolean | undefined
}

export function detachNetworkInterface(state: Ec2State, request: DetachNetworkInterface): void {
  const { eni, attachment } = state.attachment(request.attachmentId)
  const force = request.force ?? false
  if (attachment.deviceIndex === 0 && attachment.networkCard === 0) throw refusals.primaryInterface()
  if (attachment.status === 'detaching' && !force) throw refusals.alreadyDetaching(attachment.attachmentId)

  attachment.status = 'detaching'
  attachment.deleteOnTermination = false
  eni.status = 'detaching'
  state.touched(eni)

  const gate = force ? new Gate() : state.stuck.begin('detaching', eni.eniId)
  // Both must have happened: the time is up, and the guest has let go.
  let waitingFor = force ? 1 : 2
  const oneDone = (): void => {
    if (--waitingFor === 0 && eni.attachment === attachment) state.unlink(eni)
  }
  state.bay.unplug(attachment.instanceId, eni, force ? undefined : oneDone)
  state.later(state.delays.detachMs, () => gate.pass(oneDone))
}
