// Finding things: ids, filters, wildcards, pages.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { EC2, Filter } from '@aws-sdk/client-ec2'

import { zoneId } from '../../sim/ec2/state/zone-id.ts'

import { ec2UnderTest, refused } from './ec2-under-test.ts'

async function enisWith(client: EC2, ...Filters: Filter[]): Promise<(string | undefined)[]> {
  const { NetworkInterfaces = [] } = await client.describeNetworkInterfaces({ Filters })
  return NetworkInterfaces.map((eni) => eni.NetworkInterfaceId)
}

test('filters are joined by AND, the values of one by OR, and unknown values are passed over', async (t) => {
  const { client, create } = await ec2UnderTest(t)
  const [a, b] = [await create(), await create('subnet-b')]
  const ids = { Name: 'network-interface-id', Values: [a, b, 'eni-0'] }
  assert.deepEqual(await enisWith(client, ids), [a, b])
  assert.deepEqual(await enisWith(client, ids, { Name: 'subnet-id', Values: ['subnet-b'] }), [b])
})

test('* and ? are wildcards in values, and a backslash makes them plain', async (t) => {
  const { client } = await ec2UnderTest(t)
  const names = ['upf-1', 'upf-22', 'upf-*']
  for (const Description of names) await client.createNetworkInterface({ SubnetId: 'subnet-a', Description })
  const found = async (...Values: string[]) => {
    const Filters = [{ Name: 'description', Values }]
    const { NetworkInterfaces = [] } = await client.describeNetworkInterfaces({ Filters })
    return NetworkInterfaces.map((eni) => eni.Description)
  }
  assert.deepEqual(await found('upf-*'), names)
  assert.deepEqual(await found('upf-?'), ['upf-1', 'upf-*'])
  assert.deepEqual(await found('upf-\\*'), ['upf-*'])
  assert.deepEqual(await found('u.f-1'), [])
  assert.deepEqual(await found('*-2?', 'upf-1'), ['upf-1', 'upf-22'])
})

test('zones have ids, which subnets, interfaces and instances show', async (t) => {
  const { client } = await ec2UnderTest(t)
  const { NetworkInterface } = await client.createNetworkInterface({ SubnetId: 'subnet-b' })
  const { Subnets } = await client.describeSubnets({ SubnetIds: ['subnet-b'] })
  const { Reservations } = await client.describeInstances({ InstanceIds: ['i-large'] })
  assert.equal(NetworkInterface?.AvailabilityZoneId, 'eun1-az2')
  assert.equal(Subnets?.[0]?.AvailabilityZoneId, 'eun1-az2')
  assert.equal(Reservations?.[0]?.Instances?.[0]?.Placement?.AvailabilityZoneId, 'eun1-az1')
  assert.deepEqual(['us-east-1f', 'ap-southeast-2c', 'us-gov-west-1a'].map(zoneId), [
    'use1-az6',
    'apse2-az3',
    'usgw1-az1',
  ])
})

test('an unknown filter, more than 50 filters, and more than 200 values of one, are refused', async (t) => {
  const { client } = await ec2UnderTest(t)
  await refused(
    enisWith(client, { Name: 'colour', Values: ['red'] }),
    'InvalidParameterValue',
    "The filter 'colour' is invalid",
  )
  const Values = Array.from({ length: 201 }, (_, at) => `eni-${at}`)
  await refused(enisWith(client, { Name: 'network-interface-id', Values }), 'FilterLimitExceeded', 'values')
  const filters = Array.from({ length: 51 }, (_, at) => ({ Name: `tag:${at}`, Values: ['*'] }))
  await refused(enisWith(client, ...filters), 'FilterLimitExceeded', '50')
  assert.deepEqual(await enisWith(client, ...filters.slice(1)), [])
})

test('the ids form fails as a whole when one is missing', async (t) => {
  const { client } = await ec2UnderTest(t)
  const call = client.describeNetworkInterfaces({ NetworkInterfaceIds: ['eni-primary', 'eni-0', 'eni-1'] })
  await refused(call, 'InvalidNetworkInterfaceID.NotFound', "The networkInterface IDs 'eni-0, eni-1' do not exist")
})

test('pages give every interface once, also when some are deleted between two pages', async (t) => {
  const { client, create } = await ec2UnderTest(t)
  const created: string[] = []
  for (let count = 0; count < 12; count++) created.push(await create('subnet-b'))
  const Filters = [{ Name: 'subnet-id', Values: ['subnet-b'] }]
  const pageAfter = (NextToken?: string) => client.describeNetworkInterfaces({ Filters, MaxResults: 5, NextToken })
  const ids = (page: Awaited<ReturnType<typeof pageAfter>>) =>
    page.NetworkInterfaces?.map((eni) => eni.NetworkInterfaceId)

  const first = await pageAfter()
  assert.deepEqual(ids(first), created.slice(0, 5))
  for (const NetworkInterfaceId of created.slice(3, 6)) await client.deleteNetworkInterface({ NetworkInterfaceId })
  const second = await pageAfter(first.NextToken)
  assert.deepEqual(ids(second), created.slice(6, 11))
  const third = await pageAfter(second.NextToken)
  assert.deepEqual(ids(third), created.slice(11))
  assert.equal(third.NextToken, undefined)
})

test('pages and ids do not go together for interfaces and instances, and do for the rest', async (t) => {
  const { client } = await ec2UnderTest(t)
  const words = 'cannot be used with the parameter maxResults'
  const enis = client.describeNetworkInterfaces({ NetworkInterfaceIds: ['eni-primary'], MaxResults: 5 })
  await refused(enis, 'InvalidParameterCombination', words)
  const instances = client.describeInstances({ InstanceIds: ['i-large'], MaxResults: 5 })
  await refused(instances, 'InvalidParameterCombination', words)
  const { Subnets } = await client.describeSubnets({ SubnetIds: ['subnet-a'], MaxResults: 5 })
  const { SecurityGroups } = await client.describeSecurityGroups({ GroupIds: ['sg-other'], MaxResults: 5 })
  const { InstanceTypes } = await client.describeInstanceTypes({ InstanceTypes: ['m5.large'], MaxResults: 5 })
  assert.deepEqual([Subnets?.length, SecurityGroups?.length, InstanceTypes?.length], [1, 1, 1])
})

test('a page has 5 to 1000 interfaces', async (t) => {
  const { client } = await ec2UnderTest(t)
  for (const MaxResults of [4, 1001]) {
    await refused(client.describeNetworkInterfaces({ MaxResults }), 'InvalidParameterValue', 'between 5 and 1000')
  }
  await refused(client.describeNetworkInterfaces({ NextToken: 'x' }), 'InvalidPaginationToken')
})
