// CreateNetworkInterface: an interface with addresses, groups and tags, idempotent by client token.

import { type KnownFrom, knownAlways } from './consistency.ts'
import type { Ec2State } from './ec2-state.ts'
import { type NetworkInterface, snapshot } from './network-interface.ts'
import { refusals } from './refusals.ts'
import type { Subnet } from './subnet.ts'
import { checkTags } from './tags.ts'

export interface CreateNetworkInterface {
  readonly subnetId: string
  readonly groupIds?: readonly string[] | undefined
  readonly description?: string | undefined
  readonly interfaceType?: string | undefined
  readonly privateIpAddress?: string | undefined
  readonly secondaryPrivateIpAddressCount?: number | undefined
  readonly ipv6AddressCount?: number | undefined
  readonly tags?: ReadonlyMap<string, string> | undefined
}

/** The answer says `pending`, whatever the delay: so does EC2's. */
export function createNetworkInterface(
  state: Ec2State,
  request: CreateNetworkInterface,
  clientToken?: string,
): NetworkInterface {
  // EC2 compares what was sent, tags and order of groups included.
  const parameters = JSON.stringify({ ...request, tags: [...(request.tags ?? [])] })
  const now = state.clock.now()
  const known = clientToken === undefined ? undefined : state.tokens.recall(clientToken, parameters, now)
  if (known !== undefined) return known

  const eni = newNetworkInterface(state, request, { knownFrom: state.visibility.knownFrom() })
  const answer = snapshot(eni)
  if (clientToken !== undefined) state.tokens.remember(clientToken, parameters, answer, now + state.delays.tokenMs)
  state.later(state.delays.createMs, () => {
    if (eni.status !== 'pending' || state.findEni(eni.eniId) === undefined) return
    eni.status = 'available'
    state.touched(eni)
  })
  return answer
}

/** Also makes the interfaces that instances are launched with: `given` is what the world prescribes of one. */
export function newNetworkInterface(
  state: Ec2State,
  request: CreateNetworkInterface,
  given: {
    readonly eniId?: string | undefined
    readonly mac?: string | undefined
    readonly knownFrom?: KnownFrom
  } = {},
): NetworkInterface {
  const subnet = state.subnet(request.subnetId)
  const groupIds = state.groupsFor(subnet.vpcId, request.groupIds ?? [])
  if (state.eniCount >= state.maximumNetworkInterfaces) throw refusals.tooManyInterfaces()
  const tags = new Map(request.tags)
  checkTags(tags)
  const ipv6Addresses = subnet.takeIpv6(request.ipv6AddressCount ?? 0)
  if (ipv6Addresses === undefined) throw refusals.noIpv6InSubnet(subnet.subnetId)

  const eni: NetworkInterface = {
    serial: state.nextSerial(),
    eniId: given.eniId ?? state.mint.id('eni'),
    mac: given.mac ?? state.mint.mac(),
    subnetId: subnet.subnetId,
    vpcId: subnet.vpcId,
    availabilityZone: subnet.availabilityZone,
    interfaceType: request.interfaceType ?? 'interface',
    privateIpAddresses: takeAddresses(subnet, request),
    ipv6Addresses,
    knownFrom: given.knownFrom ?? knownAlways,
    tags,
    groupIds,
    description: request.description ?? '',
    sourceDestCheck: true,
    status: 'pending',
  }
  state.addEni(eni)
  return eni
}

/** All of the addresses or none. */
function takeAddresses(subnet: Subnet, request: CreateNetworkInterface): string[] {
  const { addresses } = subnet
  const secondary = request.secondaryPrivateIpAddressCount ?? 0
  if (addresses.free === 0) throw refusals.noFreeAddresses()
  if (addresses.free < secondary + 1) throw refusals.tooFewAddresses()
  if (request.privateIpAddress === undefined) return addresses.take(secondary + 1) ?? []

  const outcome = addresses.takeExactly(request.privateIpAddress)
  if (outcome === 'outside') throw refusals.addressOutsideSubnet()
  if (outcome === 'in-use') throw refusals.addressInUse(request.privateIpAddress)
  return [request.privateIpAddress, ...(addresses.take(secondary) ?? [])]
}
