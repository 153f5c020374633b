// What the attacher does when EC2 refuses: which refusals end a try, which lead to another, and who is told.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { ENIAttachment } from '../../src/api/eni-attachment.ts'

import { Lab } from './lab/lab.ts'
import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'

const options = { timeout: 15_000 }

test(
  'a full instance ends the try: the pod is told, and the ENI is deleted once the claim is given back',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const message = 'Interface count 5 exceeds the limit for m5.xlarge'
    attacher.ec2.faults.add({
      action: 'AttachNetworkInterface',
      when: 'before',
      kind: { code: 'AttachmentLimitExceeded', message },
    })
    await attacher.addStory()
    const { status } = await attacher.failed('upf-1')
    assert.equal(status?.eni?.failure?.reason, 'AttachmentLimitExceeded')
    assert.match(await attacher.event('Pod', 'upf-0', 'AttachmentLimitExceeded'), /exceeds the limit for m5.xlarge/)
    assert.equal(attacher.ec2.calls.count('AttachNetworkInterface'), 1)
    await attacher.giveClaimBack()
    checkEmpty(attacher)
  },
)

test('an instance that is stopping ends the try', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('other')
  await attacher.ready('other', 'True')
  await attacher.attachmentsAre((all) => all.filter(({ status }) => status?.eni?.attached).length === 2)
  attacher.api.store('nodeenis').delete('other')
  await attacher.attachmentsAre((all) => all.length === 0)
  attacher.ec2.setDelays({ stopMs: 3_600_000 })
  attacher.ec2.stopInstance('i-a1')
  await attacher.addStory()
  await attacher.failed('upf-1')
  assert.match(await attacher.event('Pod', 'upf-0', 'IncorrectState'), /'i-a1' is not 'running'/)
  await attacher.giveClaimBack()
  checkEmpty(attacher)
})

test(
  'missing rights end the try and stand in the condition of the NodeENI, until they are given',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const kind = {
      code: 'UnauthorizedOperation',
      message: 'You are not authorized to perform this operation.',
      status: 403,
    }
    const giveRights = attacher.ec2.faults.add({
      action: 'CreateNetworkInterface',
      when: 'before',
      times: Infinity,
      kind,
    })
    await attacher.addStory()
    await attacher.failed('upf-1')
    const { reason, message } = await attacher.ready('upf', 'False')
    assert.equal(reason, 'UnauthorizedOperation')
    assert.match(message, /EC2 CreateNetworkInterface: .*not authorized/)
    assert.equal(attacher.ec2.calls.count('CreateNetworkInterface'), 1)
    await attacher.giveClaimBack()
    checkEmpty(attacher)
    giveRights()
    attacher.clock.jump(10_000)
    await attacher.ready('upf', 'True')
  },
)

test('an intent whose NodeENI is gone ends the try', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addIntent('upf-1', attacher.addPod('upf-0'))
  attacher.addNodeENI('other')
  await attacher.ready('other', 'True')
  assert.equal(attacher.attachment('upf-1').status, undefined, 'not before the watch must have told of it')
  await attacher.clock.jumpUntil(11_000, attacher.failed('upf-1'))
  assert.match(await attacher.event('Pod', 'upf-0', 'NodeENINotFound'), /there is no NodeENI upf any more/)
})

test(
  'an attach that EC2 refuses for good rests this node only: the NodeENI stays usable on others',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const kind = { code: 'InvalidInterface.IpAddressLimitExceeded', message: 'too many addresses for m5.xlarge' }
    attacher.ec2.faults.add({ action: 'AttachNetworkInterface', when: 'before', kind })
    await attacher.addStory()
    await attacher.failed('upf-1')
    const { refused } = await attacher.capacityIs('a1', (capacity) => capacity.refused !== undefined)
    assert.deepEqual(refused, [{ nodeENI: 'upf', generation: 1, reason: 'InvalidInterface.IpAddressLimitExceeded' }])
    attacher.addIntent('upf-2', attacher.addPod('upf-2', 'a2'), { nodeName: 'a2', instanceID: 'i-a2' })
    await attacher.attached('upf-2')
    await attacher.ready('upf', 'True')
  },
)

test('what is tried again stands in the status once, and no longer than it lasts', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const kind = { code: 'RequestLimitExceeded', message: 'Request limit exceeded.', status: 503 }
  const heal = attacher.ec2.faults.add({ action: 'CreateNetworkInterface', when: 'before', times: Infinity, kind })
  const notes: unknown[] = []
  attacher.api.store('eniattachments').onChange(({ object, before }) => {
    const failure = (one: object | undefined) => (one as ENIAttachment | undefined)?.status?.eni?.failure
    if (failure(object)?.time !== failure(before)?.time) notes.push(failure(object)?.reason)
  })
  await attacher.addStory()
  const noted = attacher.attachmentIs('upf-1', (one) => one.status?.eni?.failure !== undefined)
  const { status } = await attacher.clock.jumpUntil(5_000, noted)
  const { reason, message, terminal } = status?.eni?.failure ?? {}
  assert.deepEqual(
    { reason, message, terminal },
    {
      reason: 'RequestLimitExceeded',
      message: 'EC2 CreateNetworkInterface: RequestLimitExceeded: Request limit exceeded.',
      terminal: false,
    },
  )
  await attacher.clock.jumpUntil(1_000, attacher.call('CreateNetworkInterface'))
  heal()
  await attacher.clock.jumpUntil(1_000, attacher.attached('upf-1'))
  assert.deepEqual(notes, ['RequestLimitExceeded', undefined])
  assert.equal(attacher.attachment('upf-1').status?.eni?.failure, undefined)
  checkAccount(attacher)
})

test('a failure that reads differently each time is tried again ever more rarely all the same', async () => {
  const lab = new Lab()
  const { ec2, scene, clock } = lab
  const action = 'AttachNetworkInterface'
  for (const nth of [1, 2, 3, 4]) {
    const kind = { code: 'InternalError', message: `request ${nth}`, status: 500 }
    ec2.faults.add({ action, nth, when: 'before', kind })
  }
  scene.addNode('a1')
  lab.startAttacher()
  scene.addNodeENI('upf', { dpdkResourceName: resource })
  scene.addIntent('upf-1', scene.addUnboundPod('upf-0'))
  await clock.until(() => scene.attachment('upf-1').status?.eni?.attached === true, 60_000)
  const times = ec2.calls.of(action).map(({ at }) => at)
  const waits = times.slice(1).map((at, i) => at - (times[i] ?? at))
  assert.equal(waits.length, 4)
  for (const [i, wait] of waits.entries()) assert.ok(i === 0 || wait > (waits[i - 1] ?? 0), waits.join(', '))
})
