// An ENI that is made and not attached yet: EC2 does not know it, never ends the attach, or somebody takes it away meanwhile.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { attachmentTag } from '../../src/api/names.ts'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'

const options = { timeout: 15_000 }

test('an ENI that EC2 does not know yet is attached as soon as it does', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const kind = { code: 'InvalidNetworkInterfaceID.NotFound' }
  attacher.ec2.faults.add({ action: 'AttachNetworkInterface', when: 'before', times: 2, kind })
  await attacher.addStory()
  await attacher.attached('upf-1')
  assert.equal(attacher.created, 1)
  checkAccount(attacher)
})

test('an ENI that somebody deleted before it was attached is made anew', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const off = attacher.ec2.calls.on(({ action }) => {
    if (action !== 'CreateNetworkInterface') return
    off()
    const made = attacher.ec2.state.enis().at(-1)
    if (made !== undefined) attacher.ec2.state.removeEni(made)
  })
  await attacher.addStory()
  await attacher.call('AttachNetworkInterface')
  const { status } = await attacher.clock.jumpUntil(61_000, attacher.attached('upf-1'))
  assert.equal(status?.eni?.attempt, 2)
  assert.equal(attacher.created, 2)
  checkAccount(attacher)
})

test('an attach that never ends ends the try, and is undone', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.ec2.setDelays({ attachMs: 3_600_000 })
  await attacher.addStory()
  await attacher.attachmentIs('upf-1', (one) => one.status?.eni?.attachmentID !== undefined)
  attacher.clock.jump(4 * 60_000)
  await attacher.call('DescribeNetworkInterfaces')
  await attacher.call('DescribeNetworkInterfaces')
  assert.equal(attacher.attachment('upf-1').status?.eni?.failure, undefined)
  attacher.clock.jump(61_000)
  await attacher.failed('upf-1')
  assert.match(
    await attacher.event('Pod', 'upf-0', 'AttachStuck'),
    /still attaching 5 minutes after the attach to instance i-a1; if that comes again, replace the node/,
  )
  await attacher.giveClaimBack()
  checkEmpty(attacher)
})

test('an ENI is not called lost because its attach was asked for long after it was made', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const { calls, faults, state } = attacher.ec2
  const kind = { code: 'InternalError', status: 500 }
  const heal = faults.add({ action: 'AttachNetworkInterface', when: 'before', times: Infinity, kind })
  await attacher.addStory()
  await attacher.attachmentIs('upf-1', ({ status }) => status?.eni?.failure?.reason === 'InternalError')
  heal()
  // EC2's describes are behind its attaches, once.
  const off = calls.on(({ action }) => {
    if (action !== 'AttachNetworkInterface') return
    off()
    const eni = state.enis().find(({ tags }) => tags.has(attachmentTag)) ?? assert.fail()
    const { attachment } = eni
    delete eni.attachment
    calls.on((call) => {
      if (call.action === 'DescribeNetworkInterfaces' && attachment)
        eni.attachment = { ...attachment, status: 'attached' }
    })
  })
  attacher.clock.jump(10 * 60_000)
  const { status } = await attacher.attachmentIs('upf-1', (one) => one.status?.eni?.attachedTime !== undefined)
  assert.equal(status?.eni?.failure, undefined)
  assert.equal(attacher.created, 1)
  checkAccount(attacher)
})

test('an ENI that somebody detached while it was attaching ends the try', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.ec2.setDelays({ attachMs: 3_600_000 })
  await attacher.addStory()
  const { status } = await attacher.attachmentIs('upf-1', (one) => one.status?.eni?.attachmentID !== undefined)
  attacher.ec2.detachByHand(status?.eni?.eniID ?? '')
  await attacher.clock.jumpUntil(1_000, attacher.failed('upf-1'))
  assert.match(
    await attacher.event('Pod', 'upf-0', 'ENILost'),
    /was detached or deleted by somebody else; its pod gets another/,
  )
  await attacher.giveClaimBack()
  checkEmpty(attacher)
})
