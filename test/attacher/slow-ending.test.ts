// An instance that ends while EC2 does not show it yet, or that does not let go of an ENI.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { AccountInUse } from './lab/account-in-use.ts'

const delays = { answerMs: 50, createMs: 300, attachMs: 1_000, detachMs: 1_000, deviceMs: 1_200, stopMs: 90_000 }

/** An instance on which two pods hold ENIs and one ENI is idle. */
async function inUse(): Promise<AccountInUse> {
  const lab = new AccountInUse({ ec2: { delays } })
  lab.addUpf()
  lab.startAttacher()
  for (const pod of ['held-1', 'held-2', 'ended']) lab.addPod(pod, 'a1')
  await lab.until(() => ['held-1', 'held-2', 'ended'].every((pod) => lab.isServed(pod)))
  lab.endPod('ended')
  await lab.until(() => lab.idle().length === 1)
  await lab.clock.advance(60_000)
  return lab
}

/** As a node is taken out of service: its instance begins to end, then its pods and its Node object go. */
function end(lab: AccountInUse): void {
  lab.scene.terminateInstance('i-a1')
  for (const pod of ['held-1', 'held-2']) lab.endPod(pod)
  lab.api.store('nodes').delete('a1')
}

const changes = (lab: AccountInUse, sinceMs: number) =>
  lab.callsSince(sinceMs).flatMap(({ action }) => (action.startsWith('Describe') ? [] : action))

test('an ENI that is to be released when its instance ends is left to EC2, too, though EC2 still shows it as attached', async () => {
  const lab = await inUse()
  lab.ec2.setConsistency({ newIdMs: 0, listMs: 10_000 })
  lab.stopAttacher()
  await lab.clock.advance(10_000)
  const since = lab.clock.now()
  // Its device plugin lets go of the card at once.
  lab.api.store('eniattachments').delete(lab.idle()[0]?.metadata.name ?? '')
  await lab.clock.settle()
  end(lab)
  lab.startAttacher()
  await lab.until(() => lab.scene.attachments().length === 0)
  assert.deepEqual(changes(lab, since), [])
})

test('what hangs on an instance long after it has ended is detached by force', async () => {
  const lab = await inUse()
  lab.ec2.stick('detaching', lab.idle()[0]?.status?.eni?.eniID)
  const since = lab.clock.now()
  end(lab)
  await lab.until(() => lab.scene.attachments().length === 0, 15 * 60_000)
  assert.deepEqual(changes(lab, since), ['DetachNetworkInterface', 'DeleteNetworkInterface'])
  assert.equal(lab.ec2.calls.of('DetachNetworkInterface').at(-1)?.parameters['Force'], 'true')
})
