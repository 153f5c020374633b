// What the attacher does when EC2 refuses: which refusals end a try, which lead to another, and who is told.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { attachmentTag } from '../../src/api/names.ts'

import { Lab } from './lab/lab.ts'
import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'

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
  const { status } = await attacher.clock.jumpUntil(61_000, attacher.attached('upf-1'))
  assert.equal(status?.eni?.attempt, 2)
  assert.equal(attacher.created, 2)
  checkAccount(attacher)
})

test('an instance that was full a minute ago is looked at again before a pod is refused', options, async (t) => {
  for (const node of ['a1', 'dedicated']) {
    await t.test(node, async (t2) => {
      const attacher = await AttacherUnderTest.prepare(t2)
      attacher.addNode('dedicated')
      const instanceID = `i-${node}`
      const before = attacher.foreign.ids
      const slots = node === 'a1' ? 3 : 7
      for (let index = 1; index <= slots; index++) attacher.attachForeign(instanceID, index)
      const spec = { nodeName: node, instanceID }
      attacher.startControllers()
      attacher.addNodeENI('upf', { dpdkResourceName: resource })
      await attacher.capacityIs(node, ({ cards }) => cards[0]?.foreign === slots + 1)
      attacher.addIntent('refused', attacher.addPod('refused', node), spec)
      await attacher.failed('refused')
      assert.match(await attacher.event('Pod', 'refused', 'NodeFull'), /has no free ENI slot/)
      // The sweep that follows a refusal is over.
      await attacher.ready('upf', 'True')
      for (const id of attacher.foreign.ids) if (!before.includes(id)) attacher.detachForeign(id)
      attacher.addIntent('upf-1', attacher.addPod('upf-0', node), spec)
      await attacher.attached('upf-1')
    })
  }
})

test('an instance whose type EC2 does not describe at the moment is not called full', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNode('dedicated')
  attacher.addNodeENI('n6', { nodeSelector: { node: 'a1' } })
  await attacher.ready('n6', 'True')
  const action = 'DescribeInstanceTypes'
  const heal = attacher.ec2.faults.add({ action, when: 'before', kind: 'http500', times: Infinity })
  attacher.addNodeENI('upf', { dpdkResourceName: resource })
  const spec = { nodeName: 'dedicated', instanceID: 'i-dedicated' }
  attacher.addIntent('upf-1', attacher.addPod('upf-0', 'dedicated'), spec)
  const { status } = await attacher.attachmentIs('upf-1', (one) => one.status?.eni?.failure !== undefined)
  assert.equal(status?.eni?.failure?.terminal, false)
  heal()
  await attacher.clock.jumpUntil(1_000, attacher.attached('upf-1'))
  checkAccount(attacher)
})

test('volumes that were attached since the instance was described count', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNode('volumes')
  attacher.addNodeENI('upf', { dpdkResourceName: resource })
  assert.equal((await attacher.capacityIs('volumes', () => true)).shared, 1)
  attacher.ec2.state.instance('i-volumes').ebsVolumes++
  attacher.addIntent('upf-1', attacher.addPod('upf-0', 'volumes'), { nodeName: 'volumes', instanceID: 'i-volumes' })
  await attacher.failed('upf-1')
  assert.match(await attacher.event('Pod', 'upf-0', 'NodeFull'), /28 are shared by 1 ENIs and 27 EBS volumes/)
  assert.equal(attacher.created, 0)
})

test('the last attachment of a shared budget is given', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNode('volumes')
  attacher.addNodeENI('upf', { dpdkResourceName: resource })
  await attacher.ready('upf', 'True')
  attacher.addIntent('upf-1', attacher.addPod('upf-0', 'volumes'), { nodeName: 'volumes', instanceID: 'i-volumes' })
  await attacher.attached('upf-1')
  checkAccount(attacher)
})

test('no more than maxPerNode, whatever was asked for at the same moment', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('upf', { dpdkResourceName: resource, maxPerNode: 2 })
  await attacher.ready('upf', 'True')
  const names = ['1', '2', '3']
  for (const name of names) attacher.addIntent(name, attacher.addPod(name))
  const isDecided = ({ status }: ENIAttachment) => status?.eni?.attached === true || status?.eni?.failure !== undefined
  const all = await attacher.attachmentsAre((three) => three.every(isDecided))
  const reasons = all.flatMap(({ status }) => status?.eni?.failure?.reason ?? [])
  assert.deepEqual(reasons, ['MaxPerNode'])
  assert.equal(attacher.created, 2)
})

test('an intent whose NodeENI is gone ends the try', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addIntent('upf-1', attacher.addPod('upf-0'))
  attacher.addNodeENI('other')
  await attacher.ready('other', 'True')
  assert.equal(attacher.attachment('upf-1').status, undefined, 'not before the watch must have told of it')
  await attacher.clock.jumpUntil(11_000, attacher.failed('upf-1'))
  assert.match(await attacher.event('Pod', 'upf-0', 'NodeENINotFound'), /there is no NodeENI upf any more/)
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
    /still attaching 5 minutes after the attach to instance i-a1/,
  )
  await giveClaimBack(attacher)
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

test('an ENI that somebody detached while it was attaching ends the try', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.ec2.setDelays({ attachMs: 3_600_000 })
  await attacher.addStory()
  const { status } = await attacher.attachmentIs('upf-1', (one) => one.status?.eni?.attachmentID !== undefined)
  attacher.ec2.detachByHand(status?.eni?.eniID ?? '')
  await attacher.clock.jumpUntil(1_000, attacher.failed('upf-1'))
  assert.match(await attacher.event('Pod', 'upf-0', 'ENILost'), /was detached or deleted by somebody else/)
  await giveClaimBack(attacher)
})
