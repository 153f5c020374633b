// AttachNetworkInterface: the interface takes a slot of the instance at once; the attachment and the device follow later.

import type { Ec2State } from './ec2-state.ts'
import type { Instance } from './instance.ts'
import type { Attachment, NetworkInterface } from './network-interface.ts'
import { refusals } from './refusals.ts'
import { type Slot, checkSlot, isOverSharedBudget } from './slots.ts'

export interface AttachNetworkInterface extends Slot {
  readonly eniId: string
  readonly instanceId: string
  readonly enaExpress?: boolean | undefined
}

export function attachNetworkInterface(state: Ec2State, request: AttachNetworkInterface): Attachment {
  const eni = state.knownEni(request.eniId)
  const instance = state.instance(request.instanceId)
  if (eni.attachment !== undefined) throw refusals.interfaceInUse(eni.eniId)
  // A stopped instance takes interfaces too ("warm attach"); one on its way up or down does not.
  if (instance.state !== 'running' && instance.state !== 'stopped')
    throw refusals.instanceNot('running', instance.instanceId)
  if (eni.availabilityZone !== instance.availabilityZone) throw refusals.otherZone()
  checkSlot(instance, state.enisOn(instance.instanceId), request)
  checkAddresses(instance, eni)
  if (request.enaExpress === true && !instance.limits.enaExpress) throw refusals.noEnaExpress(instance.instanceType)

  const attachment = linkToInstance(state, eni, instance, request)
  state.later(state.delays.inUseMs, () => {
    if (eni.attachment === attachment && eni.status === 'attaching') showInUse(state, eni)
  })
  followAttachment(state, eni, attachment)
  return { ...attachment }
}

/** False on DeleteOnTermination is EC2's default for an interface that was created first and attached afterwards. */
export function linkToInstance(
  state: Ec2State,
  eni: NetworkInterface,
  instance: Instance,
  request: Slot & { readonly enaExpress?: boolean | undefined },
): Attachment {
  const attachment: Attachment = {
    attachmentId: state.mint.id('eni-attach'),
    instanceId: instance.instanceId,
    deviceIndex: request.deviceIndex,
    networkCard: request.networkCard,
    attachTime: state.clock.now(),
    enaExpress: request.enaExpress ?? false,
    status: 'attaching',
    deleteOnTermination: false,
    stuck: isOverSharedBudget(instance, state.enisOn(instance.instanceId).length + 1),
  }
  state.link(eni, attachment)
  return attachment
}

export function showInUse(state: Ec2State, eni: NetworkInterface): void {
  eni.status = 'in-use'
  state.touched(eni)
}

/** Puts the card into the guest, unless the machine is off: it then finds the card when it starts. */
export function plugCard(state: Ec2State, eni: NetworkInterface): void {
  const { attachment } = eni
  if (attachment === undefined || attachment.stuck || state.instance(attachment.instanceId).state !== 'running') return
  const { deviceIndex, networkCard } = attachment
  state.bay.plug(attachment.instanceId, { eniId: eni.eniId, mac: eni.mac, deviceIndex, networkCard })
}

function followAttachment(state: Ec2State, eni: NetworkInterface, attachment: Attachment): void {
  if (attachment.stuck) return
  const stillWanted = (): boolean => eni.attachment === attachment && attachment.status !== 'detaching'
  const gate = state.stuck.begin('attaching', eni.eniId)
  attachment.stuck = gate.closed
  gate.pass(() => {
    attachment.stuck = false
  })

  const attached = (): void => {
    if (!stillWanted()) return
    attachment.status = 'attached'
    state.touched(eni)
  }
  const appears = (): void => {
    if (stillWanted()) plugCard(state, eni)
  }
  state.later(state.delays.attachMs, () => gate.pass(attached))
  state.later(state.delays.deviceMs, () => gate.pass(appears))
}

function checkAddresses(instance: Instance, eni: NetworkInterface): void {
  const { ipv4AddressesPerInterface, ipv6AddressesPerInterface } = instance.limits
  const fits =
    eni.privateIpAddresses.length <= ipv4AddressesPerInterface && eni.ipv6Addresses.length <= ipv6AddressesPerInterface
  if (!fits) throw refusals.addressLimit(instance.instanceType)
}
