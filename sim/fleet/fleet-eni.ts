// NodeENIs and ENIs of a fleet, as an attacher would have written them: for set-ups in which none runs.
import { newAttachment } from '../../src/api/eni-attachment.ts'
import { apiVersion } from '../../src/api/names.ts'
import type { FleetNode, FleetShape } from './fleet-node.ts'

export interface FleetNodeENI {
  readonly name: string
  readonly resource: string
}

export function nodeENIManifest({ name, resource }: FleetNodeENI, { labels, zones }: FleetShape): object {
  return {
    apiVersion,
    kind: 'NodeENI',
    metadata: { name },
    spec: {
      nodeSelector: labels,
      subnetIDs: zones.map(subnetIn),
      securityGroupIDs: ['sg-0123456789abcdef0'],
      enableDPDK: true,
      dpdkResourceName: resource,
    },
  }
}

/** Ready, with a subnet in each zone that has free addresses. */
export function nodeENIStatus({ zones }: Pick<FleetShape, 'zones'>, time: string): object {
  return {
    conditions: [{ type: 'Ready', status: 'True', reason: 'Ready', message: '', lastTransitionTime: time }],
    subnets: zones.map((zone, index) => ({
      subnetID: subnetIn(zone, index),
      availabilityZone: zone,
      cidr: `10.${index}.0.0/16`,
      exhausted: false,
    })),
  }
}

function subnetIn(_zone: string, index: number): string {
  return `subnet-0fleet${index}`
}

/** Attached, claimed by nobody. */
export function eniManifest(name: string, { name: nodeENI, resource }: FleetNodeENI, node: FleetNode): object {
  return newAttachment(name, { nodeENI, nodeName: node.name, instanceID: node.instanceID, resourceName: resource })
}

/** `ordinal` is the ENI's number in the whole fleet. */
export function eniStatus(ordinal: number, deviceIndex: number, time: string): object {
  const hex = ordinal.toString(16)
  return {
    attempt: 0,
    subnetID: 'subnet-0fleet0',
    cidr: '10.0.0.0/16',
    networkCard: 0,
    deviceIndex,
    firstDeviceIndex: 1,
    eniID: `eni-0${hex.padStart(16, '0')}`,
    mac: `02:${(hex.padStart(10, '0').match(/../g) ?? []).join(':')}`,
    addresses: [`10.0.${Math.floor(ordinal / 256) % 256}.${ordinal % 256}`],
    attachmentID: `eni-attach-0${hex.padStart(16, '0')}`,
    attached: true,
    plannedTime: time,
    createdTime: time,
    attachCalledTime: time,
    attachedTime: time,
  }
}
