// What IAM is told about each kind of resource: its ARN and the keys that the Service Authorization Reference for Amazon EC2 lists
// for it. Of a resource that EC2 does not know there is only the ARN.

import { Ec2Error } from '../state/ec2-error.ts'
import type { Ec2State } from '../state/ec2-state.ts'
import type { NetworkInterface } from '../state/network-interface.ts'

import { resourceArn } from './arn.ts'

export type Facts = Readonly<Record<string, string | readonly string[]>>

export interface Resource {
  readonly arn: string
  readonly facts: Facts
}

export function networkInterface(state: Ec2State, eniId: string): Resource {
  const eni = known(() => state.eni(eniId))
  return {
    arn: resourceArn(state, 'network-interface', eniId),
    facts:
      eni === undefined
        ? {}
        : { ...tagsKnown(state, eni), ...zoneFact(eni), ...subnetFact(state, eni), ...vpcFact(state, eni) },
  }
}

export function instance(state: Ec2State, instanceId: string): Resource {
  const found = known(() => state.instance(instanceId))
  return {
    arn: resourceArn(state, 'instance', instanceId),
    facts: found === undefined ? {} : { ...tagFacts(found.tags), ...zoneFact(found) },
  }
}

export function subnet(state: Ec2State, subnetId: string): Resource {
  const found = known(() => state.subnet(subnetId))
  return {
    arn: resourceArn(state, 'subnet', subnetId),
    facts: found === undefined ? {} : { ...tagFacts(found.tags), ...zoneFact(found), ...vpcFact(state, found) },
  }
}

export function securityGroup(state: Ec2State, groupId: string): Resource {
  const found = known(() => state.group(groupId))
  return {
    arn: resourceArn(state, 'security-group', groupId),
    facts: found === undefined ? {} : { ...tagFacts(found.tags), ...vpcFact(state, found) },
  }
}

/** The interface and the instance of an attachment; `*` stands for those of one that EC2 does not know. */
export function sidesOf(
  state: Ec2State,
  attachmentId: string,
): { readonly eniId: string; readonly instanceId: string } {
  const found = known(() => state.attachment(attachmentId))
  return { eniId: found?.eni.eniId ?? '*', instanceId: found?.attachment.instanceId ?? '*' }
}

/** Undefined where EC2 refuses the id. */
export function known<Found>(find: () => Found): Found | undefined {
  try {
    return find()
  } catch (error) {
    if (error instanceof Ec2Error) return undefined
    throw error
  }
}

function tagsKnown({ visibility }: Ec2State, eni: NetworkInterface): Facts {
  return visibility.knows(eni, 'iam') ? tagFacts(eni.tags) : {}
}

export function tagFacts(tags: ReadonlyMap<string, string>): Facts {
  return Object.fromEntries(
    [...tags].flatMap(([key, value]) => [
      [`aws:ResourceTag/${key}`, value],
      [`ec2:ResourceTag/${key}`, value],
    ]),
  )
}

function zoneFact({ availabilityZone }: { readonly availabilityZone: string }): Facts {
  return { 'ec2:AvailabilityZone': availabilityZone }
}

function subnetFact(state: Ec2State, { subnetId }: { readonly subnetId: string }): Facts {
  return { 'ec2:Subnet': resourceArn(state, 'subnet', subnetId) }
}

function vpcFact(state: Ec2State, { vpcId }: { readonly vpcId: string }): Facts {
  return { 'ec2:Vpc': resourceArn(state, 'vpc', vpcId) }
}
