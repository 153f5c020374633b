// The VPC CNI’s ipamd as a rival: how its pool grows and shrinks, and what that asks of EC2.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'

import { deleteNetworkInterface } from '../../sim/ec2/state/delete-network-interface.ts'
import { detachNetworkInterface } from '../../sim/ec2/state/detach-network-interface.ts'

import { callsOf, cniUnderTest, createdAtTag, during, firstCall, mine, noManageTag, nodeTag } from './cni-under-test.ts'

before(firstCall)

describe('ipamd grows', () => {
  test('by an interface at the lowest free index, tagged, described and gone with the instance', async () => {
    const { clock, ec2, cni, attachForeign } = cniUnderTest({ addresses: 9 })
    attachForeign(2, { [noManageTag]: 'true' })
    cni.start()
    await clock.advance(10_000)
    ec2.calls.clear()

    const change = await during(clock, 10_000, cni.grow())
    const [eni] = mine(ec2)
    assert.deepEqual(change, { eniId: eni?.eniId })
    assert.deepEqual(cni.eniIds, [eni?.eniId])
    assert.equal(eni?.description, 'aws-K8S-i-large')
    assert.deepEqual([...eni.tags.keys()], [createdAtTag, nodeTag])
    assert.equal(eni.tags.get(nodeTag), 'i-large')
    assert.equal(eni.tags.get(createdAtTag), '2026-01-01T00:00:10.000Z')
    assert.equal(eni.privateIpAddresses.length, 10)
    assert.deepEqual(eni.groupIds, ['sg-fedcba9876543210f'], 'groups of the primary')
    assert.partialDeepStrictEqual(eni.attachment, { deviceIndex: 1, networkCard: 0, deleteOnTermination: true })
    assert.deepEqual(callsOf(ec2), [
      'CreateNetworkInterface',
      'DescribeInstances',
      'AttachNetworkInterface',
      'ModifyNetworkInterfaceAttribute',
    ])
  })

  test('with the tags of its cluster where aws-node knows the name', async () => {
    const { clock, ec2, cni } = cniUnderTest({ clusterName: 'blue' })
    cni.start()
    await during(clock, 10_000, cni.grow())
    const tags = mine(ec2)[0]?.tags
    assert.equal(tags?.get('cluster.k8s.amazonaws.com/name'), 'blue')
    assert.equal(tags?.get('eks:eni:owner'), 'amazon-vpc-cni')
  })

  test('until its slots are used up, without those that it saw others use', async () => {
    const { clock, ec2, cni, attachForeign } = cniUnderTest()
    attachForeign(1, { [noManageTag]: 'true' })
    await clock.advance(5000)
    cni.start()
    assert.ok(typeof (await during(clock, 10_000, cni.grow())) === 'object')
    assert.equal(await during(clock, 10_000, cni.grow()), 'no-room')
    assert.equal(mine(ec2).length, 1)
  })

  test('in vain while it has not seen that others took its slot, and leaves nothing behind', async () => {
    const { clock, ec2, cni, attachForeign } = cniUnderTest()
    cni.start()
    await clock.advance(1000)
    attachForeign(1, { [noManageTag]: 'true' })
    attachForeign(2, { [noManageTag]: 'true' })
    ec2.calls.clear()
    assert.deepEqual(await during(clock, 10_000, cni.grow()), { failed: 'AttachmentLimitExceeded' })
    assert.deepEqual(callsOf(ec2), [
      'CreateNetworkInterface',
      'DescribeInstances',
      'AttachNetworkInterface',
      'DeleteNetworkInterface',
    ])
    assert.deepEqual(mine(ec2), [])
    await clock.advance(60_000)
    assert.equal(await during(clock, 10_000, cni.grow()), 'no-room')
  })

  test('and takes an interface off again whose DeleteOnTermination could not be set', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    cni.start()
    ec2.faults.add({
      action: 'ModifyNetworkInterfaceAttribute',
      when: 'before',
      kind: { code: 'RequestLimitExceeded', status: 503 },
    })
    assert.deepEqual(await during(clock, 30_000, cni.grow()), { failed: 'RequestLimitExceeded' })
    assert.deepEqual(mine(ec2), [])
  })

  test('one after the other, however often it is told', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    cni.start()
    const changes = await during(clock, 60_000, Promise.all([cni.grow(), cni.grow(), cni.grow()]))
    assert.deepEqual(
      changes.map((change) => typeof change),
      ['object', 'object', 'string'],
    )
    assert.deepEqual(
      mine(ec2).map((eni) => eni.attachment?.deviceIndex),
      [1, 2],
    )
  })
})

describe('ipamd shrinks', () => {
  test('by detaching and deleting one of its own', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    cni.start()
    await during(clock, 10_000, cni.grow())
    await clock.advance(60_000)
    ec2.calls.clear()
    const eniId = cni.eniIds[0]
    assert.deepEqual(await during(clock, 20_000, cni.shrink()), { eniId })
    assert.equal(ec2.state.findEni(eniId ?? ''), undefined)
    assert.deepEqual(cni.eniIds, [])
    assert.deepEqual(
      callsOf(ec2),
      // The detach takes 2.5 s, and it waits for 2 s.
      ['DescribeNetworkInterfaces', 'DetachNetworkInterface', 'DeleteNetworkInterface', 'DeleteNetworkInterface'],
    )
  })

  test('by one that it adopted', async () => {
    const { clock, ec2, cni, attachForeign } = cniUnderTest()
    const { eniId } = attachForeign(1)
    await clock.advance(5000)
    cni.start()
    await clock.advance(70_000)
    assert.deepEqual(await during(clock, 20_000, cni.shrink()), { eniId })
    assert.equal(ec2.state.findEni(eniId), undefined)
  })

  test('never by the primary, by one that is not a minute in use, or by one that it does not manage', async () => {
    const { clock, cni, attachForeign } = cniUnderTest()
    attachForeign(2, { [noManageTag]: 'true' })
    await clock.advance(5000)
    cni.start()
    await clock.advance(70_000)
    assert.equal(await during(clock, 1000, cni.shrink()), 'nothing-to-free')
    await during(clock, 10_000, cni.grow())
    assert.equal(await during(clock, 1000, cni.shrink()), 'nothing-to-free')
  })

  test('by one that somebody else has deleted meanwhile', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    cni.start()
    await during(clock, 10_000, cni.grow())
    await clock.advance(70_000)
    const eniId = cni.eniIds[0] ?? ''
    ec2.state.unlink(ec2.state.eni(eniId))
    deleteNetworkInterface(ec2.state, eniId)
    assert.deepEqual(await during(clock, 1000, cni.shrink()), { eniId })
  })

  test('not by one whose attachment is gone', async () => {
    const { clock, ec2, cni } = cniUnderTest()
    cni.start()
    await during(clock, 10_000, cni.grow())
    await clock.advance(70_000)
    const eniId = cni.eniIds[0] ?? ''
    detachNetworkInterface(ec2.state, { attachmentId: ec2.state.eni(eniId).attachment?.attachmentId ?? '' })
    await clock.advance(3000)
    ec2.calls.clear()
    assert.deepEqual(await during(clock, 1000, cni.shrink()), { failed: `freeing ${eniId}` })
    assert.deepEqual(callsOf(ec2), ['DescribeNetworkInterfaces'])
  })
})
