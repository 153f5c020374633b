// A simulated account in which one caller has the policy that we ship (deploy/iam) and another may do everything.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'

import { EC2, type ModifyNetworkInterfaceAttributeRequest } from '@aws-sdk/client-ec2'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { shippedPolicy } from '../../sim/ec2/iam/shipped-policy.ts'
import { inProcess } from '../../sim/ec2/in-process.ts'
import { type Ec2Options, newEc2 } from '../../sim/ec2/new-ec2.ts'
import type { World } from '../../sim/ec2/world.ts'
import { attachmentTag, clusterTag, nodeENITag, noManageTag } from '../../src/api/names.ts'

export const cluster = 'blue'
export const region = 'eu-north-1'
export const account = { region, accountId: '123456789012' }
const adminKey = 'AKIAADMIN'
export const deployFolder = new URL('../../deploy/iam/', import.meta.url)

export const world: World = {
  region,
  vpcs: [
    { vpcId: 'vpc-1', cidrBlock: '10.0.0.0/16' },
    { vpcId: 'vpc-2', cidrBlock: '10.9.0.0/16' },
  ],
  subnets: [
    { subnetId: 'subnet-a', vpcId: 'vpc-1', availabilityZone: 'eu-north-1a', cidrBlock: '10.0.0.0/20' },
    { subnetId: 'subnet-other', vpcId: 'vpc-2', availabilityZone: 'eu-north-1a', cidrBlock: '10.9.0.0/20' },
  ],
  securityGroups: [
    { groupId: 'sg-1', groupName: 'one', vpcId: 'vpc-1' },
    { groupId: 'sg-2', groupName: 'two', vpcId: 'vpc-1' },
    { groupId: 'sg-other', groupName: 'other', vpcId: 'vpc-2' },
  ],
  instances: [
    ['i-1', { 'kubernetes.io/cluster/blue': 'owned' }] as const,
    ['i-2', { 'kubernetes.io/cluster/green': 'owned' }] as const,
    ['i-3', { 'kubernetes.io/cluster/blue': 'shared' }] as const,
  ].map(([instanceId, tags]) => ({ instanceId, tags, instanceType: 'm5.4xlarge', subnetId: 'subnet-a' })),
}

export const tagsOf = (owner: string): Record<string, string> => ({
  [noManageTag]: 'true',
  [clusterTag]: owner,
  [attachmentTag]: '7d6c0a8e',
  [nodeENITag]: 'n3',
})
export const listed = (tags: Readonly<Record<string, string>>) =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }))

export type PolicyAccount = ReturnType<typeof accountWith>

/** The simulated account with the caller that has the policy, and one that may do everything. */
export function accountWith(
  t: TestContext,
  policy: unknown,
  of: World = world,
  consistency?: Ec2Options['consistency'],
) {
  const clock = new VirtualClock()
  const ec2 = newEc2({ world: of, clock, iam: { policies: [policy] }, ...(consistency && { consistency }) })
  ec2.iam.addCaller({ accessKeyId: adminKey, role: 'admin' })
  const clientOf = (accessKeyId?: string) => {
    const client = new EC2({ ...inProcess(ec2, accessKeyId === undefined ? {} : { accessKeyId }), maxAttempts: 1 })
    t.after(() => client.destroy())
    return client
  }
  return { ours: clientOf(), admin: clientOf(adminKey), clock }
}

export async function create(
  client: EC2,
  tags: Readonly<Record<string, string>>,
  SubnetId = 'subnet-a',
  group?: string,
) {
  const answer = await client.createNetworkInterface({
    SubnetId,
    Groups: [group ?? (SubnetId === 'subnet-a' ? 'sg-1' : 'sg-other')],
    Description: 'made by a test',
    TagSpecifications: [{ ResourceType: 'network-interface', Tags: listed(tags) }],
  })
  return answer.NetworkInterface?.NetworkInterfaceId ?? assert.fail('no id')
}

export async function attach(client: EC2, NetworkInterfaceId: string, InstanceId = 'i-1', DeviceIndex = 1) {
  const slot = { DeviceIndex, NetworkCardIndex: 0 }
  const answer = await client.attachNetworkInterface({ NetworkInterfaceId, InstanceId, ...slot })
  return answer.AttachmentId ?? assert.fail('no attachment id')
}

type Change = Omit<ModifyNetworkInterfaceAttributeRequest, 'NetworkInterfaceId'>
export const modify = (client: EC2, NetworkInterfaceId: string, change: Change) =>
  client.modifyNetworkInterfaceAttribute({ NetworkInterfaceId, ...change })

/** An interface's whole life; resolves with the name of the first step that the policy refuses. */
export async function wholeLife({ ours }: PolicyAccount): Promise<string | 'nothing refused'> {
  let eni = ''
  let attachment = ''
  const steps: Record<string, () => Promise<unknown>> = {
    'describe subnets': () => ours.describeSubnets({ Filters: [{ Name: 'vpc-id', Values: ['vpc-1'] }] }),
    'describe security groups': () => ours.describeSecurityGroups({}),
    'describe instances': () => ours.describeInstances({}),
    'describe instance types': () => ours.describeInstanceTypes({}),
    create: async () => (eni = await create(ours, tagsOf(cluster))),
    'describe interfaces': () => ours.describeNetworkInterfaces({}),
    'set the source/dest check': () => modify(ours, eni, { SourceDestCheck: { Value: false } }),
    attach: async () => (attachment = await attach(ours, eni)),
    'set DeleteOnTermination': () =>
      modify(ours, eni, { Attachment: { AttachmentId: attachment, DeleteOnTermination: true } }),
    'change the groups': () => modify(ours, eni, { Groups: ['sg-1', 'sg-2'] }),
    'change the description': () => modify(ours, eni, { Description: { Value: 'still there' } }),
    'give a tag': () => ours.createTags({ Resources: [eni], Tags: listed({ team: 'upf' }) }),
    detach: () => ours.detachNetworkInterface({ AttachmentId: attachment }),
    delete: () => ours.deleteNetworkInterface({ NetworkInterfaceId: eni }),
  }
  for (const [step, take] of Object.entries(steps)) if (await isRefused(take())) return step
  return 'nothing refused'
}

/** Any other error means that EC2 was asked. */
export async function isRefused(call: Promise<unknown>): Promise<boolean> {
  try {
    await call
    return false
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return error.name === 'UnauthorizedOperation'
  }
}

export const policy = shippedPolicy(account, { cluster, vpcId: 'vpc-1' }) as PolicyDocument

export interface PolicyDocument {
  readonly Version: string
  readonly Statement: readonly StatementDocument[]
}
export interface StatementDocument {
  readonly Sid: string
  readonly Action: string | readonly string[]
  readonly Resource: string | readonly string[]
  readonly Condition: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}
