// Subnets and groups are asked for once, kept while they are good, and counted down as ENIs are planned in them.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Ec2, Subnet } from '../../src/attacher/ec2.ts'
import { type Network, Networks } from '../../src/attacher/network.ts'
import { ManualClock } from '../process/manual-clock.ts'
import { nodeENIOf } from './objects.ts'

const { spec } = nodeENIOf('upf')

function networksUnderTest(freeAddresses = 100) {
  const clock = new ManualClock()
  const subnet: Subnet = { id: 'subnet-a1', zone: 'eu-north-1a', vpcID: 'vpc-1', cidr: '10.0.0.0/24', freeAddresses }
  let asked = 0
  const ec2: Partial<Ec2> = {
    describeSubnets: async () => {
      asked++
      return [subnet]
    },
    describeSecurityGroups: async (filter) => {
      if ('name' in filter) return filter.name === 'smf' ? [] : [{ id: `sg-named-${filter.name}`, vpcID: 'vpc-1' }]
      if ('nameTag' in filter && filter.nameTag === 'both') return [{ id: 'sg-named-both', vpcID: 'vpc-1' }]
      if ('nameTag' in filter && filter.nameTag === 'only-a-name') return []
      return [{ id: 'nameTag' in filter ? `sg-tagged-${filter.nameTag}` : 'sg-upf', vpcID: 'vpc-1' }]
    },
  }
  const networks = new Networks(() => ec2 as Ec2, clock)
  const find = async (need: 'resting' | 'making an ENI') => (await networks.find(spec, 'vpc-1', need)) as Network
  const free = async (id = subnet.id) =>
    networks.freeAddresses({ ...((await find('resting')).subnets[0] ?? assert.fail()), id })
  return { clock, networks, find, free, askedTimes: () => asked }
}

test('who makes an ENI gets an answer of the last minute, who rests one of the last ten', async () => {
  const { clock, find, askedTimes } = networksUnderTest()
  await find('resting')
  clock.advance(59_999)
  await find('making an ENI')
  assert.equal(askedTimes(), 1)
  clock.advance(1)
  await find('resting')
  assert.equal(askedTimes(), 1)
  await find('making an ENI')
  assert.equal(askedTimes(), 2)
  clock.advance(10 * 60_000)
  await find('resting')
  assert.equal(askedTimes(), 3)
})

test('while a subnet is exhausted, who rests gets an answer of the last minute', async () => {
  const { clock, networks, find, askedTimes } = networksUnderTest(2)
  await find('resting')
  networks.debit('subnet-a1', 1)
  clock.advance(60_000)
  await find('resting')
  assert.equal(askedTimes(), 1, 'one address is left')
  networks.debit('subnet-a1', 1)
  await find('resting')
  assert.equal(askedTimes(), 2)
  networks.markExhausted('subnet-a1')
  clock.advance(60_000)
  await find('resting')
  assert.equal(askedTimes(), 3)
  clock.advance(30_000)
  await find('resting')
  clock.advance(60_000)
  await find('resting')
  assert.equal(askedTimes(), 3, 'it is not exhausted any more')
})

test('a plan that EC2 never carries out takes nothing, without EC2 being asked again', async () => {
  const { networks, free, askedTimes } = networksUnderTest()
  let takenAtMs = Infinity
  networks.debit('subnet-a1', 3, () => takenAtMs)
  assert.equal(await free(), 97)
  takenAtMs = -Infinity
  assert.equal(await free(), 100)
  assert.equal(askedTimes(), 1)
})

test('a thousand that ask at once are one describe', async () => {
  const { find, askedTimes } = networksUnderTest()
  await Promise.all(Array.from({ length: 1_000 }, () => find('making an ENI')))
  assert.equal(askedTimes(), 1)
})

test('what is planned in a subnet is not free any more, until EC2 counts it itself', async () => {
  const { clock, networks, find, free } = networksUnderTest()
  assert.equal(await free(), 100)
  networks.debit('subnet-a1', 3)
  networks.debit('subnet-elsewhere', 50)
  assert.equal(await free(), 97)
  clock.advance(58_000)
  networks.debit('subnet-a1', 1)
  clock.advance(2_000)
  await find('making an ENI')
  assert.equal(await free(), 99, 'EC2 may not have counted the last one yet')
})

test('a plan that is made once more, since it could not be written, is counted once', async () => {
  const { networks, find } = networksUnderTest(4)
  const [subnet = assert.fail()] = (await find('resting')).subnets
  for (let i = 0; i < 3; i++) networks.debit(subnet.id, 2, () => Infinity, 'uid/1')
  assert.equal(networks.freeAddresses(subnet), 2)
  networks.debit('subnet-b1', 2, () => Infinity, 'uid/1')
  assert.equal(networks.freeAddresses(subnet), 4, 'it is in another subnet now')
})

test('a subnet is exhausted when all of it is planned, or when EC2 says so, for a while', async () => {
  const { clock, networks, find } = networksUnderTest(2)
  const [subnet = assert.fail()] = (await find('resting')).subnets
  assert.equal(networks.isExhausted(subnet, 2), false)
  assert.equal(networks.isExhausted(subnet, 3), true, 'an ENI with secondary addresses takes several')
  networks.debit(subnet.id, 2)
  assert.equal(networks.isExhausted(subnet, 1), true)
  const other = { ...subnet, id: 'subnet-b1' }
  networks.markExhausted(other.id)
  assert.equal(networks.isExhausted(other, 1), true)
  clock.advance(90_000)
  assert.equal(networks.isExhausted(other, 1), false)
})

test('what another NodeENI asks of its own subnets frees nothing here', async () => {
  const { clock, networks, free, find } = networksUnderTest()
  await find('making an ENI')
  networks.debit('subnet-elsewhere', 100)
  clock.advance(60_000)
  await find('making an ENI')
  assert.equal(await free('subnet-elsewhere'), 0)
  assert.equal(await free(), 100)
})

test('a security group is found by its name and by its Name tag, unless these are two groups', async () => {
  const { networks } = networksUnderTest()
  const find = async (name: string) => {
    const named = { ...spec, securityGroupIDs: [], securityGroupNames: [name] }
    const found = await networks.find(named, 'vpc-1', 'resting')
    return 'reason' in found ? found : found.securityGroupIDs
  }
  assert.deepEqual(await find('smf'), ['sg-tagged-smf'])
  assert.deepEqual(await find('only-a-name'), ['sg-named-only-a-name'])
  assert.deepEqual(await find('both'), ['sg-named-both'])
  assert.deepEqual(await find('upf'), {
    reason: 'AmbiguousName',
    message: 'several security groups in vpc-1 are named upf: sg-named-upf, sg-tagged-upf; use the id',
  })
})
