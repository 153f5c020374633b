// EC2 did what was asked, and its answer was lost: the next try must see that, for every call that changes anything.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Claim } from '../../src/api/eni-attachment.ts'
import { attachmentTag } from '../../src/api/names.ts'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'

const options = { timeout: 20_000 }
/** The first try, and those after it. */
const times = 3

const changes = [
  'CreateNetworkInterface',
  'AttachNetworkInterface',
  'ModifyNetworkInterfaceAttribute',
  'DetachNetworkInterface',
  'DeleteNetworkInterface',
] as const

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
      // When the delete was not answered, only time tells that there is no ENI any more.
      await attacher.clock.jumpUntil(61_000, attacher.gone('upf-1'))
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

for (const code of ['AttachmentLimitExceeded', 'IncorrectState']) {
  test(`an attach that was done, tried again and refused with ${code} is ours`, options, async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    attacher.ec2.faults.add({ action: 'AttachNetworkInterface', when: 'after', kind: { code } })
    const claim = await attacher.addStory()
    const { status } = await attacher.attached('upf-1')
    assert.equal(status?.eni?.failure, undefined)
    assert.equal(attacher.ec2.calls.count('AttachNetworkInterface'), 1)
    checkAccount(attacher)
    attacher.endPod(claim)
    await attacher.gone('upf-1')
    checkEmpty(attacher)
  })
}

test('an attach whose answer was lost is looked for before it is asked for again', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.ec2.faults.add({ action: 'AttachNetworkInterface', when: 'after', kind: 'http500' })
  await attacher.addStory()
  await attacher.attached('upf-1')
  assert.equal(attacher.ec2.calls.count('AttachNetworkInterface'), 1, 'it is never repeated blindly')
  checkAccount(attacher)
})

/** The NodeENI changes after a create whose answer was lost, and EC2 shows that ENI only when `show` is called. */
async function hiddenFirstEni(attacher: AttacherUnderTest): Promise<{ claim: Claim; show: () => void }> {
  attacher.ec2.faults.add({ action: 'CreateNetworkInterface', when: 'after', kind: 'reset', times })
  const first = attacher.call('CreateNetworkInterface')
  const claim = await attacher.addStory()
  await first
  attacher.changeNodeENI('upf', { description: 'changed' })
  const made = attacher.ec2.state.enis().find(({ tags }) => tags.has(attachmentTag)) ?? assert.fail()
  attacher.ec2.state.removeEni(made)
  await attacher.attachmentIs('upf-1', ({ status }) =>
    /without EC2 showing it/.test(status?.eni?.failure?.message ?? ''),
  )
  return { claim, show: () => attacher.ec2.state.addEni(made) }
}

test('a used client token proves that there is an ENI: it is waited for, no other is made', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const { show } = await hiddenFirstEni(attacher)
  show()
  await attacher.clock.jumpUntil(1_000, attacher.attached('upf-1'))
  assert.equal(attacher.created, 1)
  checkAccount(attacher)
})

test('a first ENI that shows after another was made goes with it', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const { claim, show } = await hiddenFirstEni(attacher)
  attacher.clock.jump(61_000)
  const { status } = await attacher.clock.jumpUntil(1_000, attacher.attached('upf-1'))
  assert.equal(status?.eni?.attempt, 2)
  show()
  attacher.endPod(claim)
  await attacher.gone('upf-1')
  checkEmpty(attacher)
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
