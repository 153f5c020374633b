// Every filter of every Describe action: it finds what has the value, and not what has another.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Filter } from '@aws-sdk/client-ec2'

import { instanceTypeFilters } from '../../sim/ec2/wire/describe-instance-types.ts'
import { instanceFilters } from '../../sim/ec2/wire/describe-instances.ts'
import { interfaceFilters } from '../../sim/ec2/wire/describe-network-interfaces.ts'
import { groupFilters } from '../../sim/ec2/wire/describe-security-groups.ts'
import { subnetFilters } from '../../sim/ec2/wire/describe-subnets.ts'

import { ec2InProcess } from './ec2-in-process.ts'

/** For each filter the value that the one to be found has, and another. */
type Samples = Readonly<Record<string, readonly [has: string, hasNot: string]>>

function assertComplete(samples: Samples, table: object): void {
  assert.deepEqual(Object.keys(samples).toSorted(), Object.keys(table).toSorted(), 'every filter has a sample')
}

/** `find` says whether the one to be found is among those that the filter lets through. */
async function findBy(samples: Samples, find: (filter: Filter) => Promise<boolean>): Promise<void> {
  for (const [Name, [has, hasNot]] of Object.entries(samples)) {
    assert.equal(await find({ Name, Values: [has] }), true, `${Name}: ${has}`)
    assert.equal(await find({ Name, Values: [hasNot] }), false, `${Name}: ${hasNot}`)
  }
}

const tags: Samples = { 'tag:role': ['upf', 'smf'], 'tag-key': ['role', 'rule'] }
const Tags = [{ Key: 'role', Value: 'upf' }]

test('of DescribeNetworkInterfaces', async (t) => {
  const { ec2, client, attach } = await ec2InProcess(t, { delays: { attachMs: 1000 } })
  const { NetworkInterface: eni } = await client.createNetworkInterface({
    SubnetId: 'subnet-0a1b2c3d4e5f6g7h8',
    Groups: ['sg-0123456789abcdef0'],
    Description: 'n3',
    SecondaryPrivateIpAddressCount: 1,
    TagSpecifications: [{ ResourceType: 'network-interface', Tags }],
  })
  const { NetworkInterfaceId: eniId = '', MacAddress: mac = '' } = eni ?? {}
  await client.modifyNetworkInterfaceAttribute({ NetworkInterfaceId: eniId, SourceDestCheck: { Value: false } })
  const attachmentId = await attach(eniId, 'i-cards', 1, 3)
  const samples: Samples = {
    'network-interface-id': [eniId, 'eni-primary'],
    'attachment.attachment-id': [attachmentId, 'eni-attach-0'],
    'attachment.instance-id': ['i-cards', 'i-large'],
    'attachment.status': ['attaching', 'attached'],
    'attachment.device-index': ['1', '3'],
    'attachment.network-card-index': ['3', '1'],
    'attachment.delete-on-termination': ['false', 'true'],
    'availability-zone': ['eu-north-1a', 'eu-north-1b'],
    'availability-zone-id': ['eun1-az1', 'eun1-az2'],
    description: ['n3', 'n6'],
    'group-id': ['sg-0123456789abcdef0', 'sg-other'],
    'interface-type': ['interface', 'efa'],
    'mac-address': [mac, '02:00:00:00:00:00'],
    'owner-id': ['123456789012', '210987654321'],
    'private-ip-address': ['10.0.16.5', '10.0.0.4'],
    'addresses.private-ip-address': ['10.0.16.5', '10.0.0.4'],
    'requester-managed': ['false', 'true'],
    'source-dest-check': ['false', 'true'],
    status: ['in-use', 'available'],
    'subnet-id': ['subnet-0a1b2c3d4e5f6g7h8', 'subnet-a'],
    'vpc-id': ['vpc-1', 'vpc-2'],
  }
  assertComplete(samples, interfaceFilters(ec2.state))
  await findBy({ ...samples, ...tags }, async (filter) => {
    const { NetworkInterfaces = [] } = await client.describeNetworkInterfaces({ Filters: [filter] })
    return NetworkInterfaces.some(({ NetworkInterfaceId }) => NetworkInterfaceId === eniId)
  })
})

test('of DescribeInstances', async (t) => {
  const { ec2, client } = await ec2InProcess(t)
  await client.createTags({ Resources: ['i-large'], Tags })
  const samples: Samples = {
    'instance-id': ['i-large', 'i-cni'],
    'instance-type': ['m5.large', 'm5.xlarge'],
    'instance-state-name': ['running', 'stopped'],
    'instance-state-code': ['16', '80'],
    'availability-zone': ['eu-north-1a', 'eu-north-1b'],
    'availability-zone-id': ['eun1-az1', 'eun1-az2'],
    'private-dns-name': ['ip-10-0-0-4.eu-north-1.compute.internal', 'ip-10-0-0-5.eu-north-1.compute.internal'],
    'subnet-id': ['subnet-a', 'subnet-b'],
    'vpc-id': ['vpc-1', 'vpc-2'],
    'network-interface.network-interface-id': ['eni-primary', 'eni-0'],
  }
  assertComplete(samples, instanceFilters(ec2.state.view()))
  await findBy({ ...samples, ...tags }, async (filter) => {
    const { Reservations = [] } = await client.describeInstances({ Filters: [filter] })
    return Reservations.some(({ Instances }) => Instances?.[0]?.InstanceId === 'i-large')
  })
})

test('of DescribeSubnets', async (t) => {
  const { client } = await ec2InProcess(t)
  await client.createTags({ Resources: ['subnet-tiny'], Tags })
  const samples: Samples = {
    'subnet-id': ['subnet-tiny', 'subnet-a'],
    'vpc-id': ['vpc-1', 'vpc-2'],
    'availability-zone': ['eu-north-1a', 'eu-north-1b'],
    'availability-zone-id': ['eun1-az1', 'eun1-az2'],
    'available-ip-address-count': ['11', '12'],
    'cidr-block': ['10.0.17.0/28', '10.0.16.0/24'],
    state: ['available', 'pending'],
  }
  assertComplete(samples, subnetFilters)
  await findBy({ ...samples, ...tags }, async (filter) => {
    const { Subnets = [] } = await client.describeSubnets({ Filters: [filter] })
    return Subnets.some(({ SubnetId }) => SubnetId === 'subnet-tiny')
  })
})

test('of DescribeSecurityGroups', async (t) => {
  const groupId = 'sg-0123456789abcdef0'
  const { client } = await ec2InProcess(t)
  await client.createTags({ Resources: [groupId], Tags })
  const samples: Samples = {
    'group-id': [groupId, 'sg-other'],
    'group-name': ['upf', 'other'],
    'vpc-id': ['vpc-1', 'vpc-2'],
  }
  assertComplete(samples, groupFilters)
  await findBy({ ...samples, ...tags }, async (filter) => {
    const { SecurityGroups = [] } = await client.describeSecurityGroups({ Filters: [filter] })
    return SecurityGroups.some(({ GroupId }) => GroupId === groupId)
  })
})

test('of DescribeInstanceTypes', async (t) => {
  const { client } = await ec2InProcess(t)
  const samples: Samples = {
    'instance-type': ['m5.large', 'm5.xlarge'],
    'processor-info.supported-architecture': ['x86_64', 'arm64'],
    'network-info.maximum-network-interfaces': ['3', '4'],
  }
  assertComplete(samples, instanceTypeFilters)
  await findBy(samples, async (filter) => {
    const Filters = [{ Name: 'instance-type', Values: ['m5.large'] }, filter]
    return (await client.describeInstanceTypes({ Filters })).InstanceTypes?.length === 1
  })
})
