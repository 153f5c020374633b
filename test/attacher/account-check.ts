// What must be true of the account at the end of every story (invariants 3 to 5).
import assert from 'node:assert/strict'

import { attachmentTag, clusterTag, noManageTag } from '../../src/api/names.ts'

import { type AttacherUnderTest, clusterName } from './attacher-under-test.ts'

/** Every ENI that we made has our tags and belongs to one ENIAttachment, no slot is taken twice, no ENI of others has gone. */
export function checkAccount(attacher: AttacherUnderTest): void {
  const all = attacher.ec2.state.enis()
  const ours = all.filter(({ eniId }) => !attacher.foreign.has(eniId))
  const attachments = attacher.attachments()
  const named: string[] = []
  for (const { eniId, tags } of ours) {
    assert.equal(tags.get(clusterTag), clusterName, `${eniId} has the cluster tag`)
    assert.equal(tags.get(noManageTag), 'true', `${eniId} is hidden from VPC CNI`)
    const owner = attachments.find(({ metadata }) => metadata.uid === tags.get(attachmentTag))
    assert.ok(owner, `${eniId} belongs to an ENIAttachment`)
    if (owner.status?.eni?.eniID !== undefined) assert.equal(owner.status.eni.eniID, eniId)
    named.push(owner.metadata.uid)
  }
  assert.equal(new Set(named).size, named.length, 'no ENIAttachment has two ENIs')
  const slots = all.flatMap(({ attachment: at }) =>
    at ? [`${at.instanceId}/${at.networkCard}/${at.deviceIndex}`] : [],
  )
  assert.equal(new Set(slots).size, slots.length, `no slot is taken twice: ${slots.join(' ')}`)
  for (const eniId of attacher.foreign) assert.ok(attacher.ec2.state.findEni(eniId), `${eniId} of others is untouched`)
}

/** After a story that releases all: nothing of ours is left in EC2 or Kubernetes. */
export function checkEmpty(attacher: AttacherUnderTest): void {
  checkAccount(attacher)
  assert.equal(attacher.ec2.state.eniCount, attacher.foreign.size)
  assert.deepEqual(attacher.attachments(), [])
}
