// DetachNetworkInterface: asks the guest for the card and frees the slot when the guest has let go.

import type { Ec2State } from './ec2-state.ts'
import { refusals } from './refusals.ts'

export interface DetachNetworkInterface {
  readonly attachmentId: string
  /** Does not wait for the guest. */
  readonly force?: boolean | undefined
}

export function detachNetworkInterface(state: Ec2State, request: DetachNetworkInterface): void {
  const { eni, attachment } = state.attachment(request.attachmentId)
  const force = request.force ?? false
  if (attachment.deviceIndex === 0 && attachment.networkCard === 0) throw refusals.primaryInterface()
  if (attachment.status === 'detaching' && !force) throw refusals.alreadyDetaching(attachment.attachmentId)

  attachment.status = 'detaching'
  eni.status = 'detaching'
  state.changed()

  // Both must have happened: the time is up, and the guest has let go.
  let waitingFor = force ? 1 : 2
  const oneDone = (): void => {
    if (--waitingFor === 0 && eni.attachment === attachment) state.unlink(eni)
  }
  state.bay.unplug(attachment.instanceId, eni, force ? undefined : oneDone)
  state.later(state.delays.detachMs, oneDone)
}
