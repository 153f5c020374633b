// An ENI that somebody moves, or attaches anew, before the attacher has seen its attach come to an end.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { attachNetworkInterface } from '../../sim/ec2/state/attach-network-interface.ts'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { AccountInUse, minuteMs } from './lab/account-in-use.ts'

/** Somebody puts the ENI of a pod elsewhere after its attach was asked for, while no attacher runs. */
async function moved(to: string): Promise<{ lab: AccountInUse; eniID: string }> {
  const lab = new AccountInUse()
  await lab.start()
  lab.addPod('comes', 'a1')
  const attaching = () => lab.attachmentOf('comes')
  await lab.until(() => attaching()?.status?.eni?.attachmentID !== undefined)
  const { status } = attaching() as ENIAttachment
  assert.notEqual(status?.eni?.attached, true)
  lab.stopAttacher()
  await lab.clock.advance(minuteMs)
  const eniID = status?.eni?.eniID ?? ''
  lab.ec2.detachByHand(eniID)
  await lab.clock.advance(minuteMs)
  attachNetworkInterface(lab.ec2.state, { eniId: eniID, instanceId: to, deviceIndex: 3, networkCard: 0 })
  await lab.clock.advance(minuteMs)
  lab.startAttacher()
  return { lab, eniID }
}

test('to another instance: it is left alone there, and the pod gets another', async () => {
  const { lab, eniID } = await moved('i-a2')
  await lab.until(() => lab.isServed('comes'))
  assert.match(lab.events('Pod', 'comes').join('\n'), /ENIMoved: ENI .* was attached to i-a2 by somebody else/)
  const { attachment } = lab.ec2.state.eni(eniID)
  assert.deepEqual([attachment?.instanceId, attachment?.deleteOnTermination], ['i-a2', false])
  assert.notEqual(lab.attachmentOf('comes')?.status?.eni?.eniID, eniID)
})

test('to its own, anew: it is the pod’s, at the new index', async () => {
  const { lab, eniID } = await moved('i-a1')
  await lab.until(() => lab.isServed('comes'))
  await lab.until(() => lab.attachmentOf('comes')?.status?.eni?.attached === true)
  const { eni } = lab.attachmentOf('comes')?.status ?? {}
  assert.deepEqual([eni?.eniID, eni?.deviceIndex], [eniID, 3])
  assert.equal(lab.ec2.state.eni(eniID).attachment?.deleteOnTermination, true)
  await lab.assertAllWell()
})
