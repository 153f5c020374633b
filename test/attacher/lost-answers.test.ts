// EC2 did what was asked, and its answer was lost: the next try must see that, for every call that changes anything.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'

const options = { timeout: 20_000 }
/** As often as the SDK itself tries a call. */
const times = 3

const changes = [
  'CreateNetworkInterface',
  'AttachNetworkInterface',
  'ModifyNetworkInterfaceAttribute',
  'DetachNetworkInterface',
  'DeleteNetworkInterface',
]

for (const action of changes) {
  for (const kind of ['reset', 'http500'] as const) {
    test(`${action} was done and answered with ${kind}: one ENI, and in the end none`, options, async (t) => {
      const attacher = await AttacherUnderTest.start(t)
      attacher.ec2.faults.add({ action, when: 'after', kind, times })
      const claim = await attacher.addStory()
      const { status } = await attacher.attached('upf-1')
      assert.equal(attacher.ec2.state.eni(status?.eni?.eniID ?? '').attachment?.deleteOnTermination, true)
      checkAccount(attacher)
      attacher.endPod(claim)
      await attacher.gone('upf-1')
      assert.equal(attacher.created, 1)
      checkEmpty(attacher)
    })
  }
}

test('the NodeENI changed after a create whose answer was lost: that ENI is found by its tag', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.ec2.faults.add({ action: 'CreateNetworkInterface', when: 'after', kind: 'reset', times })
  const first = attacher.call('CreateNetworkInterface')
  await attacher.addStory()
  await first
  attacher.changeNodeENI('upf', { description: 'changed' })
  await attacher.attached('upf-1')
  assert.equal(attacher.created, 1)
  checkAccount(attacher)
})

test('the pod ends while nobody knows whether its ENI was made: the ENI is found and deleted', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.ec2.faults.add({ action: 'CreateNetworkInterface', when: 'after', kind: 'http500', times: Infinity })
  const first = attacher.call('CreateNetworkInterface')
  const claim = await attacher.addStory()
  await first
  attacher.endPod(claim)
  await attacher.call('DeleteNetworkInterface')
  attacher.clock.jump(61_000)
  await attacher.gone('upf-1')
  checkEmpty(attacher)
})

test('an ENI that EC2 does not show yet when it is released is looked for until it does', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.ec2.faults.add({
    action: 'AttachNetworkInterface',
    when: 'before',
    times: Infinity,
    kind: { code: 'AttachmentLimitExceeded' },
  })
  await attacher.addStory()
  const { status } = await attacher.failed('upf-1')
  // EC2's describes are behind its creates.
  const eni = attacher.ec2.state.eni(status?.eni?.eniID ?? '')
  attacher.ec2.state.removeEni(eni)
  attacher.setClaim('upf-1', undefined)
  await attacher.call('DescribeNetworkInterfaces')
  attacher.ec2.state.addEni(eni)
  await attacher.gone('upf-1')
  checkEmpty(attacher)
})

test('an outage of EC2 is waited out', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const end = attacher.ec2.faults.add({ action: '*', when: 'before', kind: 'http500', times: Infinity })
  attacher.addNodeENI('n6', { nodeSelector: { node: 'a1' } })
  await attacher.call('DescribeInstances')
  end()
  await attacher.attachmentsAre(([one]) => one?.status?.eni?.attached === true)
  checkAccount(attacher)
})
