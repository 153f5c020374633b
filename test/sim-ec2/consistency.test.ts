// Eventual consistency: for how long callers do not see what EC2 has done already.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import type { EC2 } from '@aws-sdk/client-ec2'

import { InterfaceHistory } from '../../sim/ec2/state/interface-history.ts'

import { ec2InProcess } from './ec2-in-process.ts'
import { refused } from './ec2-under-test.ts'

const unknown = 'InvalidNetworkInterfaceID.NotFound'

async function enisOf(client: EC2, Name: string, value: string) {
  const { NetworkInterfaces = [] } = await client.describeNetworkInterfaces({ Filters: [{ Name, Values: [value] }] })
  return NetworkInterfaces
}

async function statusOf(client: EC2, eniId: string) {
  const [eni] = await enisOf(client, 'network-interface-id', eniId)
  return [eni?.Status, eni?.Attachment?.Status]
}

describe('a new id is unknown for newIdMs', () => {
  const calls: [string, (client: EC2, NetworkInterfaceId: string) => Promise<unknown>][] = [
    ['describe by id', (ec2, id) => ec2.describeNetworkInterfaces({ NetworkInterfaceIds: [id] })],
    [
      'attach',
      (ec2, NetworkInterfaceId) =>
        ec2.attachNetworkInterface({ NetworkInterfaceId, InstanceId: 'i-large', DeviceIndex: 1 }),
    ],
    [
      'modify',
      (ec2, NetworkInterfaceId) =>
        ec2.modifyNetworkInterfaceAttribute({ NetworkInterfaceId, SourceDestCheck: { Value: false } }),
    ],
    ['tag', (ec2, id) => ec2.createTags({ Resources: [id], Tags: [{ Key: 'a', Value: 'b' }] })],
    ['untag', (ec2, id) => ec2.deleteTags({ Resources: [id] })],
    ['delete', (ec2, NetworkInterfaceId) => ec2.deleteNetworkInterface({ NetworkInterfaceId })],
  ]
  for (const [title, call] of calls) {
    test(title, async (t) => {
      const { client, clock, create } = await ec2InProcess(t, { consistency: { newIdMs: 3000, listMs: 0 } })
      const eniId = await create()
      await clock.advance(2999)
      await refused(call(client, eniId), unknown, `The networkInterface ID '${eniId}' does not exist`)
      await clock.advance(1)
      await call(client, eniId)
    })
  }

  test('lists leave it out', async (t) => {
    const { client, clock, create } = await ec2InProcess(t, { consistency: { newIdMs: 3000, listMs: 0 } })
    await create('subnet-b')
    assert.equal((await enisOf(client, 'subnet-id', 'subnet-b')).length, 0)
    await clock.advance(3000)
    assert.equal((await enisOf(client, 'subnet-id', 'subnet-b')).length, 1)
  })

  test('only a repeat of its create knows it', async (t) => {
    const { client } = await ec2InProcess(t, { consistency: { newIdMs: 3000, listMs: 0 } })
    const create = () => client.createNetworkInterface({ SubnetId: 'subnet-a', ClientToken: 'intent-1' })
    const [first, repeat] = [await create(), await create()]
    assert.equal(repeat.NetworkInterface?.NetworkInterfaceId, first.NetworkInterface?.NetworkInterfaceId)
  })
})

describe('a Describe answer is listMs old', () => {
  const lagging = { consistency: { newIdMs: 0, listMs: 2000 } }

  test('in states and attachments, while calls act on what is true', async (t) => {
    const { client, clock, create, attach } = await ec2InProcess(t, lagging)
    const eniId = await create()
    assert.deepEqual(await statusOf(client, eniId), [undefined, undefined])
    await clock.advance(2000)
    assert.deepEqual(await statusOf(client, eniId), ['available', undefined])

    const AttachmentId = await attach(eniId, 'i-large', 1)
    await clock.advance(1999)
    assert.deepEqual(await statusOf(client, eniId), ['available', undefined])
    await refused(attach(eniId, 'i-large', 2), 'InvalidNetworkInterface.InUse')
    await clock.advance(1)
    assert.deepEqual(await statusOf(client, eniId), ['in-use', 'attached'])

    await client.detachNetworkInterface({ AttachmentId })
    await client.deleteNetworkInterface({ NetworkInterfaceId: eniId })
    assert.deepEqual(await statusOf(client, eniId), ['in-use', 'attached'])
    await refused(client.deleteNetworkInterface({ NetworkInterfaceId: eniId }), unknown)
    await clock.advance(2000)
    assert.deepEqual(await statusOf(client, eniId), [undefined, undefined])
  })

  test('in what is detaching, by a call or because its instance ends', async (t) => {
    const { ec2, client, clock, create, attach } = await ec2InProcess(t, {
      ...lagging,
      delays: { detachMs: 5000, stopMs: 5000 },
    })
    const [detached, onInstance] = [await create(), await create()]
    const AttachmentId = await attach(detached, 'i-cni', 2)
    await attach(onInstance, 'i-large', 1)
    const statuses = async () => [...(await statusOf(client, detached)), ...(await statusOf(client, onInstance))]
    await clock.advance(2000)
    await client.detachNetworkInterface({ AttachmentId })
    ec2.terminateInstance('i-large')
    await clock.advance(1999)
    assert.deepEqual(await statuses(), ['in-use', 'attached', 'in-use', 'attached'])
    await clock.advance(1)
    assert.deepEqual(await statuses(), ['detaching', 'detaching', 'detaching', 'detaching'])
    await clock.advance(5000)
    assert.deepEqual(await statuses(), ['available', undefined, 'available', undefined])
  })

  test('in tags, attributes and groups, by which its filters find', async (t) => {
    const { client, clock, create } = await ec2InProcess(t, lagging)
    const NetworkInterfaceId = await create()
    await clock.advance(2000)
    const GroupId = 'sg-0123456789abcdef0'
    await client.createTags({ Resources: [NetworkInterfaceId], Tags: [{ Key: 'cluster', Value: 'core' }] })
    assert.deepEqual(await enisOf(client, 'tag:cluster', 'core'), [])
    await clock.advance(2000)
    assert.equal((await enisOf(client, 'tag:cluster', 'core')).length, 1)

    await client.modifyNetworkInterfaceAttribute({ NetworkInterfaceId, SourceDestCheck: { Value: false } })
    await client.modifyNetworkInterfaceAttribute({ NetworkInterfaceId, Groups: [GroupId] })
    const [before] = await enisOf(client, 'tag:cluster', 'core')
    assert.equal(before?.SourceDestCheck, true)
    await clock.advance(2000)
    const [eni] = await enisOf(client, 'tag:cluster', 'core')
    assert.deepEqual([eni?.SourceDestCheck, eni?.Groups?.[0]?.GroupId], [false, GroupId])

    await client.deleteNetworkInterface({ NetworkInterfaceId })
    await client.deleteSecurityGroup({ GroupId })
    const [old] = await enisOf(client, 'tag:cluster', 'core')
    assert.deepEqual(old?.Groups, [{ GroupId }], 'of a deleted group only the id is known')
  })

  test('in the interfaces of instances', async (t) => {
    const { ec2, client, clock, create, attach } = await ec2InProcess(t, lagging)
    const indexes = async (InstanceId: string) => {
      const { Reservations = [] } = await client.describeInstances({ InstanceIds: [InstanceId] })
      return Reservations[0]?.Instances?.[0]?.NetworkInterfaces?.map(({ Attachment }) => Attachment?.DeviceIndex)
    }
    await clock.advance(2000)
    const eniId = await create()
    await attach(eniId, 'i-large', 1)
    assert.deepEqual(await indexes('i-large'), [0])
    await clock.advance(2000)
    assert.deepEqual(await indexes('i-large'), [0, 1])
    ec2.detachByHand(eniId)
    assert.deepEqual(await indexes('i-large'), [0, 1])
    await clock.advance(2000)
    assert.deepEqual(await indexes('i-large'), [0])
  })

  test('in no other answer: subnets, groups and the state of instances are those of now', async (t) => {
    const { ec2, client, create } = await ec2InProcess(t, lagging)
    await create('subnet-tiny')
    const { Subnets } = await client.describeSubnets({ SubnetIds: ['subnet-tiny'] })
    assert.equal(Subnets?.[0]?.AvailableIpAddressCount, 10)

    const [kept, deleted] = ['sg-fedcba9876543210f', 'sg-0123456789abcdef0']
    await client.createTags({ Resources: [kept, 'i-large'], Tags: [{ Key: 'a', Value: 'b' }] })
    await client.deleteSecurityGroup({ GroupId: deleted })
    ec2.stopInstance('i-large')
    const Filters = [{ Name: 'tag:a', Values: ['b'] }]
    const { SecurityGroups } = await client.describeSecurityGroups({ Filters })
    assert.equal(SecurityGroups?.[0]?.GroupId, kept)
    await refused(client.describeSecurityGroups({ GroupIds: [deleted] }), 'InvalidGroup.NotFound')
    const { Reservations } = await client.describeInstances({ Filters })
    assert.equal(Reservations?.[0]?.Instances?.[0]?.State?.Name, 'stopped')
  })
})

describe('of a range is drawn', () => {
  const create20 = async (create: () => Promise<string>) => {
    const ids: string[] = []
    for (let count = 0; count < 20; count++) ids.push(await create())
    return ids
  }

  test('when Describe knows a new id and when other calls do, each on its own', async (t) => {
    const consistency = { newIdMs: [0, 10_000] as const, listMs: 0 }
    const { client, clock, create } = await ec2InProcess(t, { consistency })
    const ids = await create20(create)
    await clock.advance(5000)
    const found: string[] = []
    for (const id of ids) {
      const isShown = (await enisOf(client, 'network-interface-id', id)).length === 1
      const deleted = await client
        .deleteNetworkInterface({ NetworkInterfaceId: id })
        .catch((error: Error) => error.name)
      found.push(`${isShown ? 'shown' : 'not shown'}, ${deleted === unknown ? 'NotFound' : 'deleted'}`)
    }
    assert.deepEqual(
      new Set(found),
      new Set(['shown, deleted', 'shown, NotFound', 'not shown, deleted', 'not shown, NotFound']),
    )
  })

  test('how old each interface is in an answer', async (t) => {
    const consistency = { newIdMs: 0, listMs: [500, 1500] as const }
    const { client, clock, create } = await ec2InProcess(t, { consistency })
    const ids = await create20(create)
    await clock.advance(1000)
    const shown = await enisOf(client, 'network-interface-id', '*')
    const count = shown.filter(({ NetworkInterfaceId = '' }) => ids.includes(NetworkInterfaceId)).length
    assert.ok(count > 0 && count < ids.length, `${count} of ${ids.length} are shown`)
  })
})

test('of a range each Describe draws its own age, so what was there may be gone again; a seed repeats it', async (t) => {
  const seen = async (seed: number) => {
    const consistency = { newIdMs: 0, listMs: [500, 1500] as const }
    const { client, clock, create } = await ec2InProcess(t, { seed, consistency })
    const eniId = await create()
    const answers: boolean[] = []
    for (let at = 50; at <= 1600; at += 50) {
      await clock.advance(50)
      answers.push((await enisOf(client, 'network-interface-id', eniId)).length === 1)
    }
    return answers
  }
  const answers = await seen(7)
  assert.equal(answers.slice(0, 9).includes(true), false)
  assert.equal(answers.slice(30).includes(false), false)
  assert.ok(answers.indexOf(true) < answers.lastIndexOf(false), 'there, and then not')
  assert.deepEqual(await seen(7), answers)
  assert.notDeepEqual(await seen(8), answers)
})

test('it can be switched on and off while EC2 runs', async (t) => {
  const { ec2, client, clock, create } = await ec2InProcess(t)
  const eniId = await create()
  ec2.setConsistency({ newIdMs: 1000, listMs: 1000 })
  assert.deepEqual(await statusOf(client, eniId), ['available', undefined])
  const late = await create()
  await refused(client.deleteNetworkInterface({ NetworkInterfaceId: late }), unknown)
  await clock.advance(1000)
  await client.deleteNetworkInterface({ NetworkInterfaceId: eniId })
  assert.deepEqual(await statusOf(client, eniId), ['available', undefined])
  ec2.setConsistency(undefined)
  assert.deepEqual(await statusOf(client, eniId), [undefined, undefined])
  assert.deepEqual(await statusOf(client, await create()), ['available', undefined])
})

test('history that nobody can ask for any more is forgotten', async (t) => {
  const { ec2, create } = await ec2InProcess(t)
  const eni = ec2.state.eni(await create())
  const history = new InterfaceHistory([])
  const seenAt = (time: number, oldest: number) => history.at(() => time, oldest).map(({ description }) => description)
  for (const time of [1, 2, 3]) {
    eni.description = String(time)
    history.record(eni, time)
  }
  history.recordDeletion(eni.eniId, 4)
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((time) => seenAt(time, 0)),
    [[], ['1'], ['2'], ['3'], []],
  )
  assert.deepEqual(seenAt(3, 3), ['3'])
  assert.deepEqual(seenAt(2, 0), [])
  assert.equal(history.size, 1)
  assert.deepEqual(seenAt(4, 4), [])
  assert.equal(history.size, 0)
})
