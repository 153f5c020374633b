// What waits for its turn at EC2 is not done any more when its pod has gone, and sooner when a pod has come.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { AccountInUse, minuteMs } from './lab/account-in-use.ts'

/** Two creates at once, and then one in twenty seconds. */
const quotas = new Map([['CreateNetworkInterface' as const, { tokens: 2, perSecond: 0.05 }]])
const limits = { quotas, share: 1 }

function creates(lab: AccountInUse): number {
  return lab.ec2.calls.count('CreateNetworkInterface')
}

test('no ENI is made for a pod that has gone while it waited', async () => {
  const lab = new AccountInUse({ limits })
  lab.addUpf()
  lab.startAttacher()
  const names = ['first', 'second', 'goes', 'goes-too', 'stays']
  for (const [i, name] of names.entries()) lab.addPod(name, i % 2 === 0 ? 'a1' : 'a2')
  await lab.until(() => creates(lab) === 2)
  await lab.clock.advance(1_000)
  lab.endPod('goes')
  lab.endPod('goes-too')
  await lab.until(() => lab.isServed('stays'), 30_000)
  await lab.clock.advance(2 * minuteMs)
  assert.equal(creates(lab), 3)
  assert.equal(lab.scene.attachments().length, 3)
  await lab.assertAllWell()
})

test('a pod that claims an ENI which waits to be made ahead of pods takes its turn among the pods', async () => {
  const lab = new AccountInUse({ limits })
  lab.addUpf()
  lab.scene.changeNodeENI('upf', { warm: 1 })
  lab.startAttacher()
  for (const name of ['first', 'second']) lab.addPod(name, 'a2')
  lab.addPod('third', 'a1')
  await lab.until(() => lab.scene.attachments().length === 5)
  const ahead = () => lab.scene.attachments().filter(({ spec }) => spec.claim === undefined)
  const warm = ahead().at(-1)
  assert.ok(warm)
  await lab.until(() => lab.isServed('first') && lab.isServed('second'))
  lab.scene.setClaim(warm.metadata.name, lab.scene.addUnboundPod('comes'))
  await lab.until(() => lab.isServed('third') && lab.isServed('comes'), 50_000)
  assert.equal(creates(lab), 4, 'and none ahead of pods yet')
})

test('an ENI that is deleted does not wait for an edit whose turn has not come', async () => {
  const slow = new Map([['CreateTags' as const, { tokens: 1, perSecond: 0.01 }]])
  const lab = new AccountInUse({ limits: { quotas: slow, share: 1 } })
  await lab.start()
  lab.scene.changeNodeENI('upf', { tags: { owner: 'upf' } })
  await lab.clock.advance(2_000)
  lab.endPod('held-1')
  lab.endPod('held-2')
  for (const { metadata } of lab.scene.attachments()) lab.api.store('eniattachments').delete(metadata.name)
  await lab.until(() => lab.scene.attachments().length === 0, 30_000)
  assert.equal(lab.ec2.calls.count('CreateTags'), 1)
})
