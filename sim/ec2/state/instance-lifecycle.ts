// What happens to instances and, through them, to their interfaces: launch, stop, start, terminate.
// These are not calls of the API here; tests and the demo do them as an operator or an Auto Scaling group would.

import type { WorldInstance } from '../world.ts'

import { linkToInstance, plugCard, showInUse } from './attach-network-interface.ts'
import { newNetworkInterface } from './create-network-interface.ts'
import type { Ec2State } from './ec2-state.ts'
import { instanceTypes } from './instance-types.ts'
import type { Instance } from './instance.ts'
import type { NetworkInterface } from './network-interface.ts'
import { refusals } from './refusals.ts'
import { wellFormed } from './resource-id.ts'
import { type Slot, checkSlot } from './slots.ts'

/** The instance is there with all its interfaces attached, and plugged in if it runs. */
export function launchInstance(state: Ec2State, world: WorldInstance): void {
  const instance = newInstance(state, world)
  state.addInstance(instance)

  const primary = newNetworkInterface(
    state,
    { subnetId: world.subnetId, groupIds: instance.groupIds, privateIpAddress: world.primary?.privateIpAddress },
    world.primary,
  )
  attachAtLaunch(state, instance, primary, { networkCard: 0, deviceIndex: 0 }, true)
  for (const foreign of world.foreignInterfaces ?? []) {
    const {
      subnetId = world.subnetId,
      groupIds = instance.groupIds,
      description,
      secondaryPrivateIpAddressCount,
    } = foreign
    const tags = new Map(Object.entries(foreign.tags ?? {}))
    const eni = newNetworkInterface(
      state,
      { subnetId, groupIds, description, secondaryPrivateIpAddressCount, tags },
      foreign,
    )
    const slot = { networkCard: foreign.networkCard ?? 0, deviceIndex: foreign.deviceIndex }
    attachAtLaunch(state, instance, eni, slot, foreign.deleteOnTermination ?? true)
  }
  if (instance.state === 'pending') runLater(state, instance)
}

export function stopInstance(state: Ec2State, instanceId: string): void {
  const instance = state.instance(instanceId)
  if (instance.state !== 'running') throw refusals.instanceNot('running', instanceId)
  enter(state, instance, 'stopping')
  pullCards(state, instance)
  state.later(state.delays.stopMs, () => {
    if (instance.state === 'stopping') enter(state, instance, 'stopped')
  })
}

export function startInstance(state: Ec2State, instanceId: string): void {
  const instance = state.instance(instanceId)
  if (instance.state !== 'stopped') throw refusals.instanceNot('stopped', instanceId)
  enter(state, instance, 'pending')
  runLater(state, instance)
}

/** Interfaces with DeleteOnTermination go with the instance, the others become available. */
export function terminateInstance(state: Ec2State, instanceId: string): void {
  const instance = state.instance(instanceId)
  if (instance.state === 'shutting-down' || instance.state === 'terminated') return
  enter(state, instance, 'shutting-down')
  pullCards(state, instance)
  for (const eni of state.enisOn(instanceId)) {
    eni.status = 'detaching'
    if (eni.attachment !== undefined) eni.attachment.status = 'detaching'
    state.touched(eni)
  }
  state.later(state.delays.stopMs, () => {
    enter(state, instance, 'terminated')
    for (const eni of state.enisOn(instanceId)) state.stuck.begin('detaching', eni.eniId).pass(() => leave(state, eni))
    state.later(state.delays.terminatedMs, () => state.forgetInstance(instanceId))
  })
}

function newInstance(state: Ec2State, world: WorldInstance): Instance {
  const limits = instanceTypes[world.instanceType]
  if (limits === undefined) throw refusals.instanceTypeNotFound([world.instanceType])
  const subnet = state.subnet(world.subnetId)
  return {
    serial: state.nextSerial(),
    instanceId: wellFormed('i', world.instanceId),
    instanceType: world.instanceType,
    limits,
    subnetId: subnet.subnetId,
    vpcId: subnet.vpcId,
    availabilityZone: subnet.availabilityZone,
    groupIds: state.groupsFor(subnet.vpcId, world.groupIds ?? []),
    privateDnsName: world.privateDnsName ?? `${world.instanceId}.${state.region}.compute.internal`,
    launchTime: state.clock.now(),
    tags: new Map(Object.entries(world.tags ?? {})),
    state: world.state ?? 'running',
    ebsVolumes: world.ebsVolumes ?? 1,
  }
}

function runLater(state: Ec2State, instance: Instance): void {
  state.later(state.delays.startMs, () => {
    if (instance.state !== 'pending') return
    enter(state, instance, 'running')
    for (const eni of state.enisOn(instance.instanceId))
      if (eni.attachment?.status !== 'detaching') plugCard(state, eni)
  })
}

function attachAtLaunch(
  state: Ec2State,
  instance: Instance,
  eni: NetworkInterface,
  slot: Slot,
  deleteOnTermination: boolean,
): void {
  checkSlot(instance, state.enisOn(instance.instanceId), slot)
  const attachment = linkToInstance(state, eni, instance, slot)
  attachment.status = 'attached'
  attachment.deleteOnTermination = deleteOnTermination
  showInUse(state, eni)
  plugCard(state, eni)
}

function enter(state: Ec2State, instance: Instance, next: Instance['state']): void {
  instance.state = next
  state.changed()
}

function pullCards(state: Ec2State, instance: Instance): void {
  for (const eni of state.enisOn(instance.instanceId)) state.bay.unplug(instance.instanceId, eni)
}

function leave(state: Ec2State, eni: NetworkInterface): void {
  // Somebody has detached it by force while it was stuck.
  if (eni.attachment === undefined) return
  const deleted = eni.attachment.deleteOnTermination
  state.unlink(eni)
  if (deleted) state.removeEni(eni)
}
