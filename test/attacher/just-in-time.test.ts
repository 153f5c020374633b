// A JustInTime ENI from a pod's intent to its end.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { attachmentTag } from '../../src/api/names.ts'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'

const changes = ['Create', 'Attach', 'Detach', 'Delete'].map((verb) => `${verb}NetworkInterface`)
const options = { timeout: 10_000 }

/** Attaches one ENI for a pod on node a1. */
async function attachedFor(attacher: AttacherUnderTest, pod: string, spec: object = {}) {
  attacher.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '5m', ...spec })
  await attacher.ready('upf', 'True')
  const claim = attacher.addPod(pod)
  attacher.addIntent('upf-1', claim)
  return { claim, attachment: await attacher.attached('upf-1') }
}

function changeCalls(attacher: AttacherUnderTest): Record<string, number> {
  const counts = attacher.ec2.calls.countByAction()
  return Object.fromEntries(
    Object.entries(counts).filter(([action]) => changes.includes(action) || action.startsWith('Modify')),
  )
}

test('an intent becomes an attached ENI with one create, one attach and one modify', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const { attachment } = await attachedFor(attacher, 'upf-0')

  assert.deepEqual(changeCalls(attacher), {
    CreateNetworkInterface: 1,
    AttachNetworkInterface: 1,
    ModifyNetworkInterfaceAttribute: 1,
  })
  const eni = attacher.ec2.state.eni(attachment.status?.eni?.eniID ?? '')
  assert.equal(eni.attachment?.deleteOnTermination, true)
  assert.equal(eni.attachment.instanceId, 'i-a1')
  const { mac, subnetID, cidr, addresses, networkCard, deviceIndex, attempt } = attachment.status?.eni ?? {}
  assert.deepEqual(
    { mac, subnetID, cidr, addresses, networkCard, deviceIndex, attempt },
    {
      mac: eni.mac,
      subnetID: 'subnet-a1',
      cidr: '10.0.0.0/20',
      addresses: eni.privateIpAddresses,
      networkCard: 0,
      deviceIndex: 1,
      attempt: 1,
    },
  )
  assert.equal(attachment.status?.phase, 'Attached')
  assert.match(await attacher.event('Pod', 'upf-0', 'ENIAttached'), /is attached to node a1/)
  checkAccount(attacher)
})

test(
  'what the NodeENI says of the ENI is done: index, groups, tags, description, addresses, both checks',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const { attachment } = await attachedFor(attacher, 'upf-0', {
      deviceIndex: 2,
      deleteOnTermination: false,
      sourceDestCheck: false,
      description: 'N3 of the UPF',
      tags: { team: 'core' },
      secondaryPrivateIPv4AddressCount: 2,
    })
    const eni = attacher.ec2.state.eni(attachment.status?.eni?.eniID ?? '')
    assert.equal(eni.attachment?.deviceIndex, 2)
    assert.equal(eni.attachment.deleteOnTermination, false)
    assert.equal(eni.sourceDestCheck, false)
    assert.equal(eni.description, 'N3 of the UPF')
    assert.equal(eni.tags.get('team'), 'core')
    assert.equal(eni.privateIpAddresses.length, 3)
    assert.deepEqual(eni.groupIds, ['sg-upf'])
    // DeleteOnTermination is false already: only the source/destination check is changed.
    assert.equal(attacher.ec2.calls.count('ModifyNetworkInterfaceAttribute'), 1)
    checkAccount(attacher)
  },
)

test('the source/destination check is off before the card can be there', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const checks: (boolean | undefined)[] = []
  attacher.ec2.calls.on(({ action }) => {
    const made = attacher.ec2.state.enis().find(({ tags }) => tags.has(attachmentTag))
    if (action === 'AttachNetworkInterface') checks.push(made?.sourceDestCheck)
  })
  await attachedFor(attacher, 'upf-0', { sourceDestCheck: false })
  assert.deepEqual(checks, [false])
  checkAccount(attacher)
})

test("the Name tag is ours unless the user's tags have one, and no longer than EC2 allows", options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNode('dedicated')
  attacher.addNodeENI('n'.repeat(253), { nodeSelector: { node: 'dedicated' } })
  attacher.addNodeENI('named', { nodeSelector: { node: 'a2' }, tags: { Name: 'N6' } })
  const all = await attacher.attachmentsAre(
    (both) => both.length === 2 && both.every((one) => one.status?.eni?.attached),
  )
  const names = all.map(({ status }) => attacher.ec2.state.eni(status?.eni?.eniID ?? '').tags.get('Name'))
  assert.deepEqual(names.toSorted(), ['N6', `${'n'.repeat(253)}/de`])
})

test('several intents for one node at once get an index each', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('upf', { dpdkResourceName: resource, deviceIndex: 2 })
  await attacher.ready('upf', 'True')
  for (const name of ['1', '2', '3']) attacher.addIntent(name, attacher.addPod(name))
  const attached = await Promise.all(['1', '2', '3'].map((name) => attacher.attached(name)))
  const indexes = attached.map(({ status }) => status?.eni?.deviceIndex).sort()
  assert.deepEqual(indexes, [1, 2, 3])
  assert.equal(attacher.ec2.calls.count('AttachNetworkInterface'), 3)
  checkAccount(attacher)
})

test('an ENI is of the zone of its node, in the subnet with most free addresses', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const subnetIDs = ['subnet-a2', 'subnet-a1', 'subnet-b1']
  attacher.addNodeENI('upf', { dpdkResourceName: resource, subnetIDs })
  await attacher.ready('upf', 'True')
  attacher.addIntent('1', attacher.addPod('1'))
  attacher.addIntent('2', attacher.addPod('2', 'b1'), { nodeName: 'b1', instanceID: 'i-b1' })
  assert.equal((await attacher.attached('1')).status?.eni?.subnetID, 'subnet-a1')
  assert.equal((await attacher.attached('2')).status?.eni?.subnetID, 'subnet-b1')
  checkAccount(attacher)
})

test('when its pod is gone the claim is freed, and after releaseAfter the ENI is gone too', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const { claim } = await attachedFor(attacher, 'upf-0')
  attacher.endPod(claim)
  const idle = await attacher.attachmentIs('upf-1', ({ status }) => status?.eni?.idleSince !== undefined)
  assert.equal(idle.spec.claim, undefined)

  attacher.clock.jump(4 * 60_000)
  await attacher.nodeENIIs('upf', ({ status }) => status?.attached === 1)
  assert.equal(attacher.attachment('upf-1').metadata.deletionTimestamp, undefined)
  attacher.clock.jump(60_000)
  await attacher.gone('upf-1')
  assert.deepEqual(changeCalls(attacher), {
    CreateNetworkInterface: 1,
    AttachNetworkInterface: 1,
    ModifyNetworkInterfaceAttribute: 1,
    DetachNetworkInterface: 1,
    DeleteNetworkInterface: 1,
  })
  checkEmpty(attacher)
})

test('with releaseAfter 0s the ENI goes at once', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const { claim } = await attachedFor(attacher, 'upf-0', { releaseAfter: '0s' })
  attacher.endPod(claim)
  await attacher.gone('upf-1')
  const asked = attacher.ec2.calls.count('DescribeInstances')
  assert.equal(asked, 1, 'at the start, and neither for an attach far below the limits nor for a release')
  checkEmpty(attacher)
})

test('a pod that takes an idle ENI costs EC2 nothing and ends the idle time', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const { claim } = await attachedFor(attacher, 'upf-0')
  attacher.endPod(claim)
  await attacher.attachmentIs('upf-1', ({ status }) => status?.eni?.idleSince !== undefined)
  const before = changeCalls(attacher)

  attacher.setClaim('upf-1', attacher.addPod('upf-1'))
  await attacher.attachmentIs('upf-1', ({ status }) => status?.eni?.idleSince === undefined)
  attacher.clock.jump(11 * 60_000)
  await attacher.call('DescribeSubnets')
  assert.equal(attacher.attachment('upf-1').metadata.deletionTimestamp, undefined)
  assert.deepEqual(changeCalls(attacher), before)
  checkAccount(attacher)
})

test('an ENI whose pod ended before it was made is given back', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '0s' })
  await attacher.ready('upf', 'True')
  const claim = attacher.addUnboundPod('upf-0')
  attacher.addIntent('upf-1', claim)
  attacher.endPod(claim)
  await attacher.gone('upf-1')
  checkEmpty(attacher)
})

test('a deleted ENIAttachment stays until its pod has ended', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const { claim } = await attachedFor(attacher, 'upf-0')
  attacher.api.store('eniattachments').delete('upf-1')
  await attacher.attachmentIs('upf-1', ({ status }) => status?.phase === 'Releasing')
  assert.equal(attacher.ec2.calls.count('DetachNetworkInterface'), 0)
  attacher.endPod(claim)
  await attacher.gone('upf-1')
  checkEmpty(attacher)
})
