// What the attacher does when EC2 refuses: which refusals end a try, which lead to another, and who is told.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'

const options = { timeout: 15_000 }

/** As the extender does when it hears of the failure: the pod goes elsewhere. */
async function giveClaimBack(attacher: AttacherUnderTest): Promise<void> {
  attacher.setClaim('upf-1', undefined)
  await attacher.gone('upf-1')
  checkEmpty(attacher)
}

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
    await giveClaimBack(attacher)
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
  await giveClaimBack(attacher)
})

test('an index that somebody else took meanwhile: the next one, with the same ENI', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('warm-up', { nodeSelector: { node: 'a1' } })
  await attacher.attachmentsAre(([one]) => one?.status?.eni?.attached === true)
  attacher.attachForeign('i-a1', 2)
  await attacher.addStory({ deviceIndex: 2 })
  const { status } = await attacher.attached('upf-1')
  assert.equal(status?.eni?.deviceIndex, 3)
  assert.equal(attacher.created, 2)
  checkAccount(attacher)
})

test(
  'an index that EC2 calls taken because the attach before went through is ours, and is stored as it is',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const kind = {
      code: 'InvalidParameterValue',
      message: "Instance 'i-a1' already has an interface attached at device index '1'.",
    }
    attacher.ec2.faults.add({ action: 'AttachNetworkInterface', when: 'after', kind })
    await attacher.addStory()
    const { status } = await attacher.attached('upf-1')
    const eni = attacher.ec2.state.eni(status?.eni?.eniID ?? '')
    assert.equal(status?.eni?.deviceIndex, eni.attachment?.deviceIndex)
    checkAccount(attacher)
  },
)

test(
  'a subnet without addresses: the next of the zone, and the NodeENI says which is exhausted',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    attacher.ec2.faults.add({
      action: 'CreateNetworkInterface',
      when: 'before',
      kind: { code: 'InsufficientFreeAddressesInSubnet' },
    })
    await attacher.addStory({ subnetIDs: ['subnet-a1', 'subnet-a2', 'subnet-b1'] })
    const { status } = await attacher.attached('upf-1')
    assert.equal(status?.eni?.subnetID, 'subnet-a2')
    const nodeENI = await attacher.nodeENIIs(
      'upf',
      (one) => one.status?.subnets?.some(({ exhausted }) => exhausted) ?? false,
    )
    assert.deepEqual(
      nodeENI.status?.subnets?.map(({ subnetID, exhausted }) => [subnetID, exhausted]),
      [
        ['subnet-a1', true],
        ['subnet-a2', false],
        ['subnet-b1', false],
      ],
    )
    checkAccount(attacher)
  },
)

test(
  'when the last subnet of the zone is exhausted the try ends; later the subnet is tried again',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const kind = { code: 'InsufficientFreeAddressesInSubnet' }
    attacher.ec2.faults.add({ action: 'CreateNetworkInterface', when: 'before', kind })
    await attacher.addStory({ subnetIDs: ['subnet-a1', 'subnet-b1'] })
    await attacher.failed('upf-1')
    assert.match(await attacher.event('Pod', 'upf-0', 'NoUsableSubnet'), /no subnet of NodeENI upf in eu-north-1a/)
    attacher.setClaim('upf-1', undefined)
    await attacher.gone('upf-1')
    attacher.clock.jump(91_000)
    attacher.addIntent('upf-2', attacher.addPod('upf-2'))
    await attacher.attached('upf-2')
    checkAccount(attacher)
  },
)

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
    await giveClaimBack(attacher)
    giveRights()
    attacher.clock.jump(10_000)
    await attacher.ready('upf', 'True')
  },
)

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
  attacher.clock.jump(61_000)
  const { status } = await attacher.attached('upf-1')
  assert.equal(status?.eni?.attempt, 2)
  assert.equal(attacher.created, 2)
  checkAccount(attacher)
})

test('an ENI that somebody detached while it was attaching ends the try', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.ec2.setDelays({ attachMs: 3_600_000 })
  await attacher.addStory()
  const { status } = await attacher.attachmentIs('upf-1', (one) => one.status?.eni?.attachmentID !== undefined)
  attacher.ec2.detachByHand(status?.eni?.eniID ?? '')
  attacher.clock.jump(61_000)
  await attacher.failed('upf-1')
  assert.match(await attacher.event('Pod', 'upf-0', 'ENILost'), /was detached or deleted by somebody else/)
  await giveClaimBack(attacher)
})
