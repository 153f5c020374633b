// ModifyNetworkInterfaceAttribute: one attribute a call.

import type { Ec2State } from './ec2-state.ts'
import { refusals } from './refusals.ts'

export type AttributeChange =
  | { readonly attribute: 'description'; readonly value: string }
  | { readonly attribute: 'sourceDestCheck'; readonly value: boolean }
  | { readonly attribute: 'groupSet'; readonly value: readonly string[] }
  | { readonly attribute: 'attachment'; readonly attachmentId: string; readonly deleteOnTermination: boolean }

export function modifyNetworkInterface(state: Ec2State, eniId: string, changes: readonly AttributeChange[]): void {
  const eni = state.knownEni(eniId)
  const [change, ...others] = changes
  if (change === undefined) throw refusals.noAttribute()
  if (others.length > 0) throw refusals.severalAttributes(changes.map(({ attribute }) => attribute))

  switch (change.attribute) {
    case 'description':
      eni.description = change.value
      break
    case 'sourceDestCheck':
      eni.sourceDestCheck = change.value
      break
    case 'groupSet':
      eni.groupIds = state.groupsFor(eni.vpcId, change.value)
      break
    case 'attachment':
      if (eni.attachment?.attachmentId !== change.attachmentId) throw refusals.attachmentNotFound(change.attachmentId)
      eni.attachment.deleteOnTermination = change.deleteOnTermination
      break
  }
  state.touched(eni)
}
