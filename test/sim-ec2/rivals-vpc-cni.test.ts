// The VPC CNI’s ipamd as a rival: what it adopts, what it cleans up, and how it lives and dies with its node.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'

import type { Ec2 } from '../../sim/ec2/new-ec2.ts'
import { VpcCni } from '../../sim/ec2/rivals/vpc-cni.ts'
import { createNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'
import { detachNetworkInterface } from '../../sim/ec2/state/detach-network-interface.ts'
import { seededRandom } from '../../sim/ec2/state/duration.ts'

import {
  callsOf,
  cniUnderTest,
  createdAtTag,
  during,
  firstCall,
  looks,
  mine,
  noManageTag,
  nodeTag,
} from './cni-under-test.ts'

before(firstCall)

describe('ipamd looks every 60 s', () => {
  test('and asks EC2 nothing while it knows all that is attached', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    cni.start()
    await clock.advance(1000)
    ec2.calls.clear()
    await clock.advance(10 * 60_000)
    assert.equal(ec2.calls.of('CreateTags').length, 0)
    assert.deepEqual(looks(ec2), [])
  })

  test('and adopts what has no no_manage tag: tags it and uses it', async () => {
    const { clock, ec2, cni, attachForeign } = cniUnderTest()
    cni.start()
    await clock.advance(1000)
    const eni = attachForeign(1, { Name: 'ours' })
    await clock.advance(58_000)
    assert.deepEqual(cni.eniIds, [])
    ec2.calls.clear()
    await clock.advance(2000)
    assert.deepEqual(cni.eniIds, [eni.eniId])
    assert.equal(eni.tags.get(nodeTag), 'i-large')
    assert.deepEqual(callsOf(ec2), ['DescribeNetworkInterfaces', 'CreateTags'])
    assert.deepEqual(Object.values(ec2.calls.of('DescribeNetworkInterfaces')[0]?.parameters ?? {}), [
      'eni-primary',
      eni.eniId,
    ])
  })

  const tags: [string, Record<string, string>, boolean][] = [
    ['true', { [noManageTag]: 'true' }, false],
    ['True, which is not true', { [noManageTag]: 'True' }, true],
    ['false', { [noManageTag]: 'false' }, true],
  ]
  for (const [value, given, adopted] of tags) {
    test(`and ${adopted ? 'adopts' : 'leaves alone'} what has no_manage=${value}`, async () => {
      const { clock, cni, attachForeign } = cniUnderTest()
      const eni = attachForeign(1, given)
      await clock.advance(5000)
      cni.start()
      await clock.advance(1000)
      assert.deepEqual(cni.eniIds, adopted ? [eni.eniId] : [])
      assert.equal(eni.tags.has(nodeTag), adopted)
    })
  }

  test('and takes the primary for its own, whatever its tags', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    const primary = ec2.state.eni('eni-primary')
    primary.tags.set(noManageTag, 'true')
    cni.start()
    await clock.advance(1000)
    assert.equal(primary.tags.get(nodeTag), 'i-large')
  })

  test('and adopts nothing before it is attached', async () => {
    const { clock, ec2, cni, attachForeign } = cniUnderTest()
    cni.start()
    await clock.advance(1000)
    ec2.setDelays({ attachMs: 90_000 })
    const { eniId } = attachForeign(1)
    await clock.advance(60_000)
    assert.deepEqual(cni.eniIds, [])
    await clock.advance(60_000)
    assert.deepEqual(cni.eniIds, [eniId])
  })

  test('and adopts nothing on other cards', async () => {
    const { clock, cni, attachForeign } = cniUnderTest({ instanceId: 'i-cards' })
    attachForeign(1, {}, 'i-cards', 3)
    await clock.advance(5000)
    cni.start()
    await clock.advance(1000)
    assert.deepEqual(cni.eniIds, [])
    const change = await during(clock, 10_000, cni.grow())
    assert.deepEqual(
      [change],
      cni.eniIds.map((eniId) => ({ eniId })),
      'index 1 of card 0 is free',
    )
  })

  test('and sees that a no_manage tag was taken away only when another interface is new', async () => {
    const { clock, cni, attachForeign } = cniUnderTest()
    const first = attachForeign(1, { [noManageTag]: 'true' })
    await clock.advance(5000)
    cni.start()
    await clock.advance(1000)
    first.tags.delete(noManageTag)
    await clock.advance(120_000)
    assert.deepEqual(cni.eniIds, [])
    const second = attachForeign(2)
    await clock.advance(70_000)
    assert.deepEqual(cni.eniIds.toSorted(), [first.eniId, second.eniId].toSorted())
  })

  test('and forgets what is no longer attached', async () => {
    const { clock, ec2, cni, attachForeign } = cniUnderTest()
    const eni = attachForeign(1)
    await clock.advance(5000)
    cni.start()
    await clock.advance(1000)
    assert.deepEqual(cni.eniIds, [eni.eniId])
    detachNetworkInterface(ec2.state, { attachmentId: eni.attachment?.attachmentId ?? '' })
    await clock.advance(65_000)
    assert.deepEqual(cni.eniIds, [])
  })

  test('and leaves an id out that EC2 does not know, at the price of a call', async () => {
    const { clock, ec2, cni, attachForeign } = cniUnderTest()
    const known = attachForeign(1)
    await clock.advance(5000)
    const unknown = {
      code: 'InvalidNetworkInterfaceID.NotFound',
      message: "The networkInterface ID 'eni-primary' does not exist",
    }
    ec2.faults.add({ action: 'DescribeNetworkInterfaces', when: 'before', kind: unknown })
    cni.start()
    await clock.advance(1000)
    assert.deepEqual(cni.eniIds, [known.eniId])
    assert.equal(ec2.calls.of('DescribeNetworkInterfaces').length, 2)
    assert.deepEqual(Object.values(ec2.calls.of('DescribeNetworkInterfaces')[1]?.parameters ?? {}), [known.eniId])
  })

  test('and uses nothing that it could not tag', async () => {
    const { clock, ec2, cni, attachForeign } = cniUnderTest()
    attachForeign(1)
    await clock.advance(5000)
    const takeBack = ec2.faults.add({
      action: 'CreateTags',
      times: Infinity,
      when: 'before',
      kind: { code: 'Unavailable' },
    })
    cni.start()
    await clock.advance(30_000)
    assert.deepEqual(cni.eniIds, [])
    assert.equal(ec2.calls.of('CreateTags').length, 10, 'five tries each, for the primary too')
    takeBack()
    await clock.advance(120_000)
    assert.equal(cni.eniIds.length, 1)
  })
})

describe('ipamd cleans up', () => {
  const hourMs = 60 * 60_000
  const leak = (ec2: Ec2, description: string, createdAt?: string, subnetId = 'subnet-a') => {
    const tags = new Map([
      [nodeTag, 'i-elsewhere'],
      ...(createdAt === undefined ? [] : ([[createdAtTag, createdAt]] as const)),
    ])
    return createNetworkInterface(ec2.state, { subnetId, description, tags }).eniId
  }

  test('what any ipamd left available for five minutes; first it gives those a time that have none', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    const old = leak(ec2, 'aws-K8S-i-elsewhere', '2025-12-31T23:00:00Z')
    const young = leak(ec2, 'aws-K8S-i-elsewhere', '2026-01-01T00:00:00Z')
    const timeless = leak(ec2, 'aws-K8S-i-elsewhere')
    const notByIpamd = leak(ec2, 'something else', '2025-12-31T23:00:00Z')
    const elsewhere = leak(ec2, 'aws-K8S-i-elsewhere', '2025-12-31T23:00:00Z', 'subnet-other')
    cni.start()
    await clock.advance(301_000)
    assert.deepEqual(
      [old, young, timeless, notByIpamd].map((eniId) => ec2.state.findEni(eniId) !== undefined),
      [false, true, true, true],
    )
    assert.match(ec2.state.eni(timeless).tags.get(createdAtTag) ?? '', /^2026-01-01T00:0/)
    await clock.advance(hourMs + 301_000)
    assert.deepEqual(
      [young, timeless, notByIpamd, elsewhere].map((eniId) => ec2.state.findEni(eniId) !== undefined),
      [false, false, true, true],
    )
  })

  test('what carries its cluster’s name only, where it knows one', async () => {
    const { clock, ec2, cni } = cniUnderTest({ clusterName: 'blue' })
    const old = leak(ec2, 'aws-K8S-i-elsewhere', '2025-12-31T23:00:00Z')
    cni.start()
    await clock.advance(301_000)
    assert.ok(ec2.state.findEni(old))
  })

  test('its own that leaked when its node died in the middle of growing', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    cni.start()
    await clock.advance(1000)
    const off = ec2.calls.on(({ action }) => action === 'CreateNetworkInterface' && ec2.terminateInstance('i-large'))
    assert.equal(await during(clock, 10_000, cni.grow()), 'not-running')
    off()
    const [leaked] = mine(ec2)
    assert.equal(leaked?.status, 'available')

    const other = new VpcCni(ec2, { instanceId: 'i-cards', random: seededRandom(2) })
    other.start()
    await clock.advance(hourMs + 600_000)
    assert.deepEqual(mine(ec2), [])
  })
})

describe('ipamd is a program on a node', () => {
  test('and does nothing before it starts and after it stops', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    assert.equal(await during(clock, 1000, cni.grow()), 'not-running')
    cni.start()
    await clock.advance(1000)
    cni.stop()
    ec2.calls.clear()
    createNetworkInterface(ec2.state, { subnetId: 'subnet-a' })
    await clock.advance(2 * 60 * 60_000)
    assert.equal(await cni.shrink(), 'not-running')
    assert.equal(ec2.calls.count(), 0)
  })

  test('and stops and starts with its instance, knowing nothing', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    cni.start()
    await during(clock, 10_000, cni.grow())
    ec2.stopInstance('i-large')
    assert.equal(await during(clock, 1000, cni.grow()), 'not-running')
    ec2.calls.clear()
    ec2.startInstance('i-large')
    await clock.advance(1000)
    assert.equal(cni.eniIds.length, 1)
    assert.equal(looks(ec2).length, 1)
    assert.equal(ec2.calls.count('CreateTags'), 0, 'it has its tags already')
  })

  test('and finds after a crash what it was about to use', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    cni.start()
    await clock.advance(1000)
    const off = ec2.calls.on(({ action }) => action === 'AttachNetworkInterface' && cni.restart())
    assert.equal(await during(clock, 70_000, cni.grow()), 'not-running')
    off()
    assert.equal(mine(ec2)[0]?.attachment?.deleteOnTermination, false, 'it died before it could say so')
    assert.deepEqual(cni.eniIds, [mine(ec2)[0]?.eniId])
  })

  test('and hears no answer any more once it is killed', async () => {
    const { clock, ec2, cni, attachForeign } = cniUnderTest()
    attachForeign(1)
    await clock.advance(5000)
    ec2.calls.on(({ action }) => action === 'CreateTags' && cni.stop())
    cni.start()
    await clock.advance(1000)
    assert.equal(ec2.calls.count('CreateTags'), 1)
    assert.deepEqual(cni.eniIds, [])
  })

  test('with rights of its own', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    ec2.iam.setPolicies([])
    cni.start()
    assert.ok(typeof (await during(clock, 10_000, cni.grow())) === 'object')
    assert.deepEqual([...new Set([...ec2.calls].map((call) => call.accessKeyId))], ['ASIAVPCCNIILARGE'])
  })
})
