// Another cluster as a rival: its interfaces, and whether others leave them alone.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Ec2 } from '../../sim/ec2/new-ec2.ts'
import { OtherCluster } from '../../sim/ec2/rivals/other-cluster.ts'
import { attachNetworkInterface } from '../../sim/ec2/state/attach-network-interface.ts'
import { deleteNetworkInterface } from '../../sim/ec2/state/delete-network-interface.ts'
import { detachNetworkInterface } from '../../sim/ec2/state/detach-network-interface.ts'
import { seededRandom } from '../../sim/ec2/state/duration.ts'
import { modifyNetworkInterface } from '../../sim/ec2/state/modify-network-interface.ts'
import { createTags, deleteTags } from '../../sim/ec2/state/tags.ts'
import { attachmentTag, clusterTag, nodeENITag, noManageTag } from '../../src/api/names.ts'

import { rivalAccount } from './rival-account.ts'

function otherCluster(seed = 1) {
  const { clock, ec2 } = rivalAccount()
  const options = { clusterName: 'green', subnetIds: ['subnet-a'], instanceIds: ['i-cni', 'i-large'] }
  return { clock, ec2, other: new OtherCluster(ec2, { ...options, random: seededRandom(seed) }) }
}

test('has interfaces with our tags and another value, available or attached', () => {
  const { ec2, other } = otherCluster()
  const available = other.create() ?? ''
  assert.deepEqual(
    [...ec2.state.eni(available).tags],
    [
      [noManageTag, 'true'],
      [clusterTag, 'green'],
      [attachmentTag, 'green-1'],
      [nodeENITag, 'theirs'],
    ],
  )
  const attached = other.create() ?? ''
  assert.equal(other.attach(attached, 'i-cni'), undefined)
  const { attachment } = ec2.state.eni(attached)
  assert.partialDeepStrictEqual(attachment, { instanceId: 'i-cni', deviceIndex: 2, deleteOnTermination: true })
  assert.deepEqual(other.eniIds, [available, attached])
  assert.deepEqual(other.harmed(), [])
})

test('is refused like anybody', () => {
  const { ec2, other } = otherCluster()
  const eniId = other.create() ?? ''
  assert.equal(other.create('subnet-0'), undefined)
  assert.equal(other.detach(eniId), 'InvalidAttachmentID.NotFound')
  assert.equal(other.attach(eniId, 'i-0'), 'InvalidInstanceID.NotFound')
  other.attach(eniId, 'i-cni')
  assert.equal(other.delete(eniId), 'InvalidParameterValue')
  assert.deepEqual(other.harmed(), [])
  assert.equal(ec2.state.eni(eniId).attachment?.instanceId, 'i-cni')
})

const harms: Record<string, [RegExp, (ec2: Ec2, eniId: string) => void]> = {
  'delete it': [
    /is gone$/,
    (ec2, eniId) => {
      detachNetworkInterface(ec2.state, { attachmentId: attachmentOf(ec2, eniId), force: true })
      ec2.state.unlink(ec2.state.eni(eniId))
      deleteNetworkInterface(ec2.state, eniId)
    },
  ],
  'detach it': [
    /is being taken off i-cni$/,
    (ec2, eniId) => detachNetworkInterface(ec2.state, { attachmentId: attachmentOf(ec2, eniId) }),
  ],
  'give it a tag': [/has other tags/, (ec2, eniId) => createTags(ec2.state, [eniId], new Map([['x', 'y']]))],
  'change a tag': [/has other tags/, (ec2, eniId) => createTags(ec2.state, [eniId], new Map([[clusterTag, 'blue']]))],
  'take its tags': [/has other tags/, (ec2, eniId) => deleteTags(ec2.state, [eniId], [])],
  'set its source/dest check': [
    /has other attributes$/,
    (ec2, eniId) => modifyNetworkInterface(ec2.state, eniId, [{ attribute: 'sourceDestCheck', value: false }]),
  ],
  'describe it': [
    /has other attributes$/,
    (ec2, eniId) => modifyNetworkInterface(ec2.state, eniId, [{ attribute: 'description', value: '' }]),
  ],
  'turn DeleteOnTermination off': [
    /lost DeleteOnTermination$/,
    (ec2, eniId) => {
      const attachmentId = attachmentOf(ec2, eniId)
      const change = { attribute: 'attachment', attachmentId, deleteOnTermination: false } as const
      modifyNetworkInterface(ec2.state, eniId, [change])
    },
  ],
  'move it': [
    /is on i-large, not on i-cni$/,
    (ec2, eniId) => {
      ec2.state.unlink(ec2.state.eni(eniId))
      attachNetworkInterface(ec2.state, { eniId, instanceId: 'i-large', deviceIndex: 1, networkCard: 0 })
    },
  ],
}
const attachmentOf = (ec2: Ec2, eniId: string) => ec2.state.eni(eniId).attachment?.attachmentId ?? ''
for (const [what, [words, harm]] of Object.entries(harms)) {
  test(`sees when others ${what}`, () => {
    const { ec2, other } = otherCluster()
    const eniId = other.create() ?? ''
    other.attach(eniId, 'i-cni')
    assert.deepEqual(other.harmed(), [])
    harm(ec2, eniId)
    const [only, ...more] = other.harmed()
    assert.match(only ?? '', words)
    assert.deepEqual(more, [])
  })
}

test('sees when others attach what it left available', () => {
  const { ec2, other } = otherCluster()
  const eniId = other.create() ?? ''
  attachNetworkInterface(ec2.state, { eniId, instanceId: 'i-large', deviceIndex: 1, networkCard: 0 })
  assert.deepEqual(other.harmed(), [`${eniId} is on i-large`])
})

test('sees no harm in what it does itself, nor in what goes with an instance', async () => {
  const { clock, ec2, other } = otherCluster()
  ec2.setDelays({ stopMs: 5000 })
  for (let step = 0; step < 400; step++) {
    other.step()
    assert.deepEqual(other.harmed(), [])
    await clock.advance(500)
    assert.deepEqual(other.harmed(), [])
    if (step === 200) ec2.terminateInstance('i-cni')
  }
  assert.ok(ec2.state.enis().some((eni) => eni.tags.get(clusterTag) === 'green'))
})
