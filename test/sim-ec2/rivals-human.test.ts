// A human as a rival: what is done by hand to interfaces, and what EC2 lets be done.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Human } from '../../sim/ec2/rivals/human.ts'
import { createNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'
import { detachNetworkInterface } from '../../sim/ec2/state/detach-network-interface.ts'
import { seededRandom } from '../../sim/ec2/state/duration.ts'

import { attachedTo, rivalAccount } from './rival-account.ts'

function humanWith(seed = 1) {
  const { clock, ec2 } = rivalAccount()
  return { clock, ec2, human: new Human(ec2, seededRandom(seed)), eniId: attachedTo(ec2) }
}

test('detaches', async () => {
  const { clock, ec2, human, eniId } = humanWith()
  assert.equal(human.detach(eniId), undefined)
  assert.equal(ec2.state.eni(eniId).status, 'detaching')
  await clock.advance(3000)
  assert.equal(ec2.state.eni(eniId).attachment, undefined)
  assert.equal(human.detach(eniId), 'InvalidAttachmentID.NotFound')
})

test('deletes: after a detach where one is needed', async () => {
  const { clock, ec2, human, eniId } = humanWith()
  assert.equal(human.delete(eniId), undefined)
  await clock.advance(5000)
  assert.equal(ec2.state.findEni(eniId), undefined)
  const { eniId: available } = createNetworkInterface(ec2.state, { subnetId: 'subnet-a' })
  human.delete(available)
  assert.equal(ec2.state.findEni(available), undefined)
  assert.equal(human.delete(available), 'InvalidNetworkInterfaceID.NotFound')
  assert.deepEqual(human.deeds, [
    `detach ${eniId}: done`,
    `delete ${eniId}: done`,
    `delete ${available}: done`,
    `delete ${available}: InvalidNetworkInterfaceID.NotFound`,
  ])
})

test('deletes also what somebody else is detaching', async () => {
  const { clock, ec2, human, eniId } = humanWith()
  detachNetworkInterface(ec2.state, { attachmentId: ec2.state.eni(eniId).attachment?.attachmentId ?? '' })
  assert.equal(human.delete(eniId), undefined)
  await clock.advance(5000)
  assert.equal(ec2.state.findEni(eniId), undefined)
})

test('gives up waiting for a detach after ten minutes', async () => {
  const { clock, ec2, human, eniId } = humanWith()
  ec2.setDelays({ detachMs: 3_600_000 })
  human.delete(eniId)
  await clock.advance(2 * 3_600_000)
  assert.equal(ec2.state.eni(eniId).status, 'available')
})

test('cannot take the primary interface off, nor delete it', async () => {
  const { ec2, human } = humanWith()
  assert.equal(human.delete('eni-primary'), 'OperationNotPermitted')
  assert.ok(ec2.state.findEni('eni-primary'))
})

test('moves to another instance, at the lowest free index', async () => {
  const { clock, ec2, human, eniId } = humanWith()
  assert.equal(human.move(eniId, 'i-cni'), undefined)
  await clock.advance(6000)
  assert.partialDeepStrictEqual(ec2.state.eni(eniId).attachment, {
    instanceId: 'i-cni',
    deviceIndex: 2,
    status: 'attached',
  })
})

test('takes tags away: all, or some', () => {
  const { ec2, human, eniId } = humanWith()
  human.removeTags(eniId, ['a'])
  assert.deepEqual([...ec2.state.eni(eniId).tags], [['c', 'd']])
  human.removeTags(eniId)
  assert.deepEqual([...ec2.state.eni(eniId).tags], [])
})

test('turns DeleteOnTermination and the source/dest check round', () => {
  const { ec2, human, eniId } = humanWith()
  const shown = () => [ec2.state.eni(eniId).attachment?.deleteOnTermination, ec2.state.eni(eniId).sourceDestCheck]
  assert.deepEqual(shown(), [false, true])
  human.flipDeleteOnTermination(eniId)
  human.flipSourceDestCheck(eniId)
  assert.deepEqual(shown(), [true, false])
  human.flipDeleteOnTermination(eniId)
  human.flipSourceDestCheck(eniId)
  assert.deepEqual(shown(), [false, true])
})

test('meddles by chance: every deed comes, and a seed gives the same ones', async () => {
  const meddled = async (seed: number) => {
    const { clock, ec2, human } = humanWith(seed)
    for (let step = 0; step < 300; step++) {
      while (ec2.state.enis().length < 12) createNetworkInterface(ec2.state, { subnetId: 'subnet-a' })
      human.meddle(ec2.state.enis().map((eni) => eni.eniId))
      await clock.advance(1000)
    }
    return human.deeds
  }
  const deeds = await meddled(3)
  for (const kind of [/^detach/, /^delete/, /^attach .* to i-/, /^take all/, /^take \w/, /^flip Delete/, /^flip the/]) {
    assert.ok(
      deeds.some((deed) => kind.test(deed) && deed.endsWith(': done')),
      String(kind),
    )
  }
  assert.deepEqual(await meddled(3), deeds)
  assert.notDeepEqual(await meddled(4), deeds)
})

test('does nothing where there is nothing', () => {
  const { human } = humanWith()
  assert.equal(human.meddle([]), undefined)
  assert.deepEqual(human.deeds, [])
})
