// The Ec2 port over @aws-sdk/client-ec2. Ids go into filters, not into id lists: one unknown id fails a whole id-list call.
import {
  AttachNetworkInterfaceCommand,
  CreateNetworkInterfaceCommand,
  DeleteNetworkInterfaceCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  DetachNetworkInterfaceCommand,
  EC2Client,
  type Filter,
  ModifyNetworkInterfaceAttributeCommand,
} from '@aws-sdk/client-ec2'

import type {
  CreateEniRequest,
  Ec2,
  Eni,
  Instance,
  InstanceType,
  SecurityGroupFilter,
  Subnet,
  SubnetFilter,
} from './ec2.ts'
import { eniFrom, instanceFrom, instanceTypeFrom, subnetFrom } from './ec2-answer.ts'
import { Ec2Error, translateEc2Error } from './ec2-error.ts'

/** The SDK has no request timeout by default. */
const requestTimeoutMs = 20_000
/** Standard mode backs off 0.1 to 20 s; our queue does the rest, per ENI. */
const maxAttempts = 3
const pageSize = 1000
/** EC2 takes at most 200 values in a filter. */
const filterValuesMax = 200

export type OnCall = (action: string, outcome: string, seconds: number) => void

export class Ec2SdkClient implements Ec2 {
  readonly #client: EC2Client
  readonly #onCall: OnCall

  /** Region, credentials and endpoint (AWS_ENDPOINT_URL) come from the SDK's own chain. */
  constructor(onCall: OnCall) {
    this.#client = new EC2Client({
      retryMode: 'standard',
      maxAttempts,
      requestHandler: { requestTimeout: requestTimeoutMs, throwOnRequestTimeout: true },
    })
    this.#onCall = onCall
  }

  /** @throws when there is no region or there are no credentials. */
  async checkCredentials(): Promise<void> {
    await this.#client.config.region()
    await this.#client.config.credentials()
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
      TagSpecifications: [
        { ResourceType: 'network-interface', Tags: [...request.tags].map(([Key, Value]) => ({ Key, Value })) },
      ],
    })
    return this.#call('CreateNetworkInterface', async () =>
      eniFrom((await this.#client.send(command)).NetworkInterface),
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
    const answer = await this.#call('AttachNetworkInterface', () => this.#client.send(command))
    return answer.AttachmentId ?? ''
  }

  async detachEni(attachmentID: string): Promise<void> {
    const command = new DetachNetworkInterfaceCommand({ AttachmentId: attachmentID })
    await this.#call('DetachNetworkInterface', () => this.#client.send(command))
  }

  async deleteEni(eniID: string): Promise<void> {
    const command = new DeleteNetworkInterfaceCommand({ NetworkInterfaceId: eniID })
    await this.#call('DeleteNetworkInterface', () => this.#client.send(command))
  }

  async setDeleteOnTermination(eniID: string, attachmentID: string, value: boolean): Promise<void> {
    const command = new ModifyNetworkInterfaceAttributeCommand({
      NetworkInterfaceId: eniID,
      Attachment: { AttachmentId: attachmentID, DeleteOnTermination: value },
    })
    await this.#call('ModifyNetworkInterfaceAttribute', () => this.#client.send(command))
  }

  async setSourceDestCheck(eniID: string, value: boolean): Promise<void> {
    const command = new ModifyNetworkInterfaceAttributeCommand({
      NetworkInterfaceId: eniID,
      SourceDestCheck: { Value: value },
    })
    await this.#call('ModifyNetworkInterfaceAttribute', () => this.#client.send(command))
  }

  async describeEnis(ids: readonly string[]): Promise<Eni[]> {
    const found: Eni[] = []
    for (let i = 0; i < ids.length; i += filterValuesMax) {
      found.push(...(await this.#enis({ Name: 'network-interface-id', Values: ids.slice(i, i + filterValuesMax) })))
    }
    return found
  }

  describeEnisByTag(key: string, value: string): Promise<Eni[]> {
    return this.#enis({ Name: `tag:${key}`, Values: [value] })
  }

  async #enis(filter: Filter): Promise<Eni[]> {
    return this.#pages('DescribeNetworkInterfaces', async (NextToken) => {
      const page = { MaxResults: pageSize, ...(NextToken && { NextToken }) }
      const command = new DescribeNetworkInterfacesCommand({ Filters: [filter], ...page })
      const answer = await this.#client.send(command)
      return { items: (answer.NetworkInterfaces ?? []).map(eniFrom), next: answer.NextToken }
    })
  }

  async describeInstances(ids: readonly string[]): Promise<Instance[]> {
    const found: Instance[] = []
    for (let i = 0; i < ids.length; i += filterValuesMax) {
      const filter = { Name: 'instance-id', Values: ids.slice(i, i + filterValuesMax) }
      const instances = await this.#pages('DescribeInstances', async (NextToken) => {
        const page = { MaxResults: pageSize, ...(NextToken && { NextToken }) }
        const answer = await this.#client.send(new DescribeInstancesCommand({ Filters: [filter], ...page }))
        const listed = (answer.Reservations ?? []).flatMap(({ Instances }) => Instances ?? [])
        return { items: listed.map(instanceFrom), next: answer.NextToken }
      })
      found.push(...instances)
    }
    return found
  }

  describeInstanceTypes(names: readonly string[]): Promise<InstanceType[]> {
    const filter = { Name: 'instance-type', Values: [...names] }
    return this.#pages('DescribeInstanceTypes', async (NextToken) => {
      const page = { MaxResults: 100, ...(NextToken && { NextToken }) }
      const answer = await this.#client.send(new DescribeInstanceTypesCommand({ Filters: [filter], ...page }))
      return { items: (answer.InstanceTypes ?? []).map(instanceTypeFrom), next: answer.NextToken }
    })
  }

  describeSubnets(filter: SubnetFilter): Promise<Subnet[]> {
    const Filters: Filter[] =
      'ids' in filter
        ? [{ Name: 'subnet-id', Values: [...filter.ids] }]
        : [
            { Name: 'tag:Name', Values: [filter.nameTag] },
            { Name: 'vpc-id', Values: [filter.vpcID] },
          ]
    return this.#pages('DescribeSubnets', async (NextToken) => {
      const page = { MaxResults: pageSize, ...(NextToken && { NextToken }) }
      const answer = await this.#client.send(new DescribeSubnetsCommand({ Filters, ...page }))
      return { items: (answer.Subnets ?? []).map(subnetFrom), next: answer.NextToken }
    })
  }

  describeSecurityGroups(filter: SecurityGroupFilter): Promise<{ id: string; name: string }[]> {
    const Filters: Filter[] =
      'ids' in filter
        ? [{ Name: 'group-id', Values: [...filter.ids] }]
        : [
            { Name: 'group-name', Values: [filter.name] },
            { Name: 'vpc-id', Values: [filter.vpcID] },
          ]
    return this.#pages('DescribeSecurityGroups', async (NextToken) => {
      const page = { MaxResults: pageSize, ...(NextToken && { NextToken }) }
      const answer = await this.#client.send(new DescribeSecurityGroupsCommand({ Filters, ...page }))
      const groups = (answer.SecurityGroups ?? []).map(({ GroupId, GroupName }) => ({
        id: GroupId ?? '',
        name: GroupName ?? '',
      }))
      return { items: groups, next: answer.NextToken }
    })
  }

  async #pages<T>(
    action: string,
    page: (nextToken: string | undefined) => Promise<{ items: T[]; next: string | undefined }>,
  ): Promise<T[]> {
    const all: T[] = []
    let next: string | undefined
    do {
      const answer = await this.#call(action, () => page(next))
      all.push(...answer.items)
      next = answer.next
    } while (next !== undefined && next !== '')
    return all
  }

  async #call<T>(action: string, send: () => Promise<T>): Promise<T> {
    const startedAt = performance.now()
    let outcome = 'ok'
    try {
      return await send()
    } catch (error) {
      const translated = error instanceof Ec2Error ? error : translateEc2Error(action, error)
      outcome = translated.code
      throw translated
    } finally {
      this.#onCall(action, outcome, (performance.now() - startedAt) / 1000)
    }
  }
}
