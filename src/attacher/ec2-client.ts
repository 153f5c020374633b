// The Ec2 port over @aws-sdk/client-ec2. Ids go into filters, not into id lists: one unknown id fails a whole id-list call.
import {
  AttachNetworkInterfaceCommand,
  CreateNetworkInterfaceCommand,
  CreateTagsCommand,
  DeleteNetworkInterfaceCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  DetachNetworkInterfaceCommand,
  type EC2Client,
  type Filter,
  ModifyNetworkInterfaceAttributeCommand,
} from '@aws-sdk/client-ec2'

import {
  type CreateEniRequest,
  type Ec2,
  type Eni,
  filterValuesMax,
  type Instance,
  type InstanceType,
  type SecurityGroup,
  type SecurityGroupFilter,
  type Subnet,
  type SubnetFilter,
} from './ec2.ts'
import type { Ec2Action } from './ec2-action.ts'
import { attachmentIDFrom, eniFrom, instanceFrom, instanceTypeFrom, listFrom, subnetFrom } from './ec2-answer.ts'
import type { Ec2Connection } from './ec2-connection.ts'
import type { Urgency } from './ec2-limiter.ts'

const pageSize = 1000

export class Ec2SdkClient implements Ec2 {
  readonly #connection: Ec2Connection
  readonly #urgency: Urgency
  readonly #signal: AbortSignal

  /** @param signal of the term for which its caller leads: no call is made after it. */
  constructor(connection: Ec2Connection, urgency: Urgency, signal: AbortSignal) {
    this.#connection = connection
    this.#urgency = urgency
    this.#signal = signal
  }

  async createEni(request: CreateEniRequest): Promise<Eni> {
    const { secondaryPrivateIPv4AddressCount, ipv6AddressCount } = request
    const command = new CreateNetworkInterfaceCommand({
      ClientToken: request.clientToken,
      SubnetId: request.subnetID,
      Groups: [...request.securityGroupIDs],
      Description: request.description,
      ...(secondaryPrivateIPv4AddressCount > 0 && { SecondaryPrivateIpAddressCount: secondaryPrivateIPv4AddressCount }),
      ...(ipv6AddressCount > 0 && { Ipv6AddressCount: ipv6AddressCount }),
      TagSpecifications: [{ ResourceType: 'network-interface', Tags: sdkTags(request.tags) }],
    })
    return this.#call('CreateNetworkInterface', async (client) =>
      eniFrom((await client.send(command)).NetworkInterface),
    )
  }

  async attachEni(eniID: string, instanceID: string, deviceIndex: number, networkCard: number): Promise<string> {
    const command = new AttachNetworkInterfaceCommand({
      NetworkInterfaceId: eniID,
      InstanceId: instanceID,
      DeviceIndex: deviceIndex,
      // Left out, EC2 checks the index against all cards of the instance (cilium/cilium#42512).
      NetworkCardIndex: networkCard,
    })
    return this.#call('AttachNetworkInterface', async (client) => attachmentIDFrom(await client.send(command)))
  }

  async detachEni(attachmentID: string, force: boolean): Promise<void> {
    const command = new DetachNetworkInterfaceCommand({ AttachmentId: attachmentID, ...(force && { Force: true }) })
    await this.#call('DetachNetworkInterface', (client) => client.send(command))
  }

  async deleteEni(eniID: string): Promise<void> {
    const command = new DeleteNetworkInterfaceCommand({ NetworkInterfaceId: eniID })
    await this.#call('DeleteNetworkInterface', (client) => client.send(command))
  }

  async setDeleteOnTermination(eniID: string, attachmentID: string, value: boolean): Promise<void> {
    const command = new ModifyNetworkInterfaceAttributeCommand({
      NetworkInterfaceId: eniID,
      Attachment: { AttachmentId: attachmentID, DeleteOnTermination: value },
    })
    await this.#call('ModifyNetworkInterfaceAttribute', (client) => client.send(command))
  }

  async setSourceDestCheck(eniID: string, value: boolean): Promise<void> {
    const command = new ModifyNetworkInterfaceAttributeCommand({
      NetworkInterfaceId: eniID,
      SourceDestCheck: { Value: value },
    })
    await this.#call('ModifyNetworkInterfaceAttribute', (client) => client.send(command))
  }

  async setDescription(eniID: string, value: string): Promise<void> {
    const command = new ModifyNetworkInterfaceAttributeCommand({
      NetworkInterfaceId: eniID,
      Description: { Value: value },
    })
    await this.#call('ModifyNetworkInterfaceAttribute', (client) => client.send(command))
  }

  async setSecurityGroups(eniID: string, ids: readonly string[]): Promise<void> {
    const command = new ModifyNetworkInterfaceAttributeCommand({ NetworkInterfaceId: eniID, Groups: [...ids] })
    await this.#call('ModifyNetworkInterfaceAttribute', (client) => client.send(command))
  }

  async createTags(eniID: string, tags: ReadonlyMap<string, string>): Promise<void> {
    const command = new CreateTagsCommand({ Resources: [eniID], Tags: sdkTags(tags) })
    await this.#call('CreateTags', (client) => client.send(command))
  }

  async describeEnis(ids: readonly string[]): Promise<Eni[]> {
    const found: Eni[] = []
    for (let i = 0; i < ids.length; i += filterValuesMax) {
      found.push(...(await this.#enis({ Name: 'network-interface-id', Values: ids.slice(i, i + filterValuesMax) })))
    }
    return found
  }

  async describeEnisByTag(key: string, values: readonly string[]): Promise<Eni[]> {
    return values.length === 0 ? [] : this.#enis({ Name: `tag:${key}`, Values: [...values] })
  }

  async #enis(filter: Filter): Promise<Eni[]> {
    return this.#pages('DescribeNetworkInterfaces', async (client, NextToken) => {
      const page = { MaxResults: pageSize, ...(NextToken && { NextToken }) }
      const command = new DescribeNetworkInterfacesCommand({ Filters: [filter], ...page })
      const answer = await client.send(command)
      return { items: listFrom('NetworkInterfaces', answer.NetworkInterfaces).map(eniFrom), next: answer.NextToken }
    })
  }

  async describeInstances(ids: readonly string[]): Promise<Instance[]> {
    const found: Instance[] = []
    for (let i = 0; i < ids.length; i += filterValuesMax) {
      const filter = { Name: 'instance-id', Values: ids.slice(i, i + filterValuesMax) }
      const instances = await this.#pages('DescribeInstances', async (client, NextToken) => {
        const page = { MaxResults: pageSize, ...(NextToken && { NextToken }) }
        const answer = await client.send(new DescribeInstancesCommand({ Filters: [filter], ...page }))
        const listed = listFrom('Reservations', answer.Reservations).flatMap(({ Instances }) => Instances ?? [])
        return { items: listed.map(instanceFrom), next: answer.NextToken }
      })
      found.push(...instances)
    }
    return found
  }

  describeInstanceTypes(names: readonly string[]): Promise<InstanceType[]> {
    const filter = { Name: 'instance-type', Values: [...names] }
    return this.#pages('DescribeInstanceTypes', async (client, NextToken) => {
      const page = { MaxResults: 100, ...(NextToken && { NextToken }) }
      const answer = await client.send(new DescribeInstanceTypesCommand({ Filters: [filter], ...page }))
      return { items: listFrom('InstanceTypes', answer.InstanceTypes).map(instanceTypeFrom), next: answer.NextToken }
    })
  }

  describeSubnets(filter: SubnetFilter): Promise<Subnet[]> {
    const Filters: Filter[] =
      'ids' in filter
        ? [{ Name: 'subnet-id', Values: [...filter.ids] }]
        : [
            { Name: 'tag:Name', Values: [literally(filter.nameTag)] },
            { Name: 'vpc-id', Values: [filter.vpcID] },
          ]
    return this.#pages('DescribeSubnets', async (client, NextToken) => {
      const page = { MaxResults: pageSize, ...(NextToken && { NextToken }) }
      const answer = await client.send(new DescribeSubnetsCommand({ Filters, ...page }))
      return { items: listFrom('Subnets', answer.Subnets).map(subnetFrom), next: answer.NextToken }
    })
  }

  describeSecurityGroups(filter: SecurityGroupFilter): Promise<SecurityGroup[]> {
    const Filters: Filter[] =
      'ids' in filter
        ? [{ Name: 'group-id', Values: [...filter.ids] }]
        : [
            'name' in filter
              ? { Name: 'group-name', Values: [literally(filter.name)] }
              : { Name: 'tag:Name', Values: [literally(filter.nameTag)] },
            { Name: 'vpc-id', Values: [filter.vpcID] },
          ]
    return this.#pages('DescribeSecurityGroups', async (client, NextToken) => {
      const page = { MaxResults: pageSize, ...(NextToken && { NextToken }) }
      const answer = await client.send(new DescribeSecurityGroupsCommand({ Filters, ...page }))
      const groups = listFrom('SecurityGroups', answer.SecurityGroups).map(({ GroupId, VpcId }) => ({
        id: GroupId ?? '',
        vpcID: VpcId ?? '',
      }))
      return { items: groups, next: answer.NextToken }
    })
  }

  async #pages<T>(
    action: Ec2Action,
    page: (client: EC2Client, nextToken: string | undefined) => Promise<{ items: T[]; next: string | undefined }>,
  ): Promise<T[]> {
    const all: T[] = []
    let next: string | undefined
    do {
      const answer = await this.#call(action, (client) => page(client, next))
      all.push(...answer.items)
      next = answer.next
    } while (next !== undefined && next !== '')
    return all
  }

  #call<T>(action: Ec2Action, send: (client: EC2Client) => Promise<T>): Promise<T> {
    return this.#connection.call(action, this.#urgency, this.#signal, send)
  }
}

/** In a filter `*` and `?` stand for other characters (EC2 user guide, "Filter your resources"). */
function literally(name: string): string {
  return name.replace(/[\\*?]/g, '\\$&')
}

function sdkTags(tags: ReadonlyMap<string, string>): { Key: string; Value: string }[] {
  return [...tags].map(([Key, Value]) => ({ Key, Value }))
}
