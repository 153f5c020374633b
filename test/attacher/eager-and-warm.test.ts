// ENIs that are there before any pod asks for them.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { isIdle, type ENIAttachment } from '../../src/api/eni-attachment.ts'

import { mergePatch } from '../kube-api/patch.ts'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'

const options = { timeout: 15_000 }
const isAttached = ({ status }: ENIAttachment) => status?.eni?.attached === true
const allAttached = (count: number) => (all: ENIAttachment[]) => all.length === count && all.every(isAttached)
const places = (all: ENIAttachment[]) =>
  all.map(({ spec, status }) => `${spec.nodeName} ${status?.eni?.subnetID} ${status?.eni?.deviceIndex}`).toSorted()

test('Eager: every node has an ENI in each subnet of its zone', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('n6', { subnetIDs: ['subnet-a1', 'subnet-a2', 'subnet-b1'], deviceIndex: 2 })
  const all = await attacher.attachmentsAre(allAttached(5))
  assert.deepEqual(places(all), [
    'a1 subnet-a1 2',
    'a1 subnet-a2 3',
    'a2 subnet-a1 2',
    'a2 subnet-a2 3',
    'b1 subnet-b1 2',
  ])
  await attacher.nodeENIIs('n6', ({ status }) => status?.attached === 5)
  checkAccount(attacher)
})

test('Eager: only nodes that the selector matches, and one that joins gets its ENI', options, async (t) => {
  const attacher = await AttacherUnderTest.prepare(t)
  attacher.api.store('nodes').delete('a2')
  attacher.startControllers()
  attacher.addNodeENI('n6', { nodeSelector: { node: 'a2' } })
  await attacher.ready('n6', 'False')
  assert.deepEqual(attacher.attachments(), [])
  attacher.addNode('a2')
  assert.deepEqual(places(await attacher.attachmentsAre(allAttached(1))), ['a2 subnet-a1 1'])
  checkAccount(attacher)
})

test('Eager: a node that no longer matches gives its ENI back', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('n6', { nodeSelector: { node: 'a1' } })
  await attacher.attachmentsAre(allAttached(1))
  attacher.api.store('nodes').update('a1', (node) => ({ ...node, metadata: { ...node.metadata, labels: {} } }))
  await attacher.attachmentsAre((all) => all.length === 0)
  checkEmpty(attacher)
})

test('Eager: idle ENIs stay, however long', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('n6', { nodeSelector: { node: 'a1' }, releaseAfter: '0s' })
  await attacher.attachmentsAre(allAttached(1))
  attacher.clock.jump(61 * 60_000)
  await attacher.call('DescribeSubnets')
  assert.deepEqual(places(attacher.attachments()), ['a1 subnet-a1 1'])
  checkAccount(attacher)
})

test('Eager: a node with too few slots keeps what fits, and is not tried again at once', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const subnetIDs = ['subnet-a1', 'subnet-a2', 'subnet-a3']
  attacher.addNodeENI('first', { nodeSelector: { node: 'a1' }, subnetIDs, maxPerNode: 2 })
  await attacher.attachmentsAre(allAttached(2))
  attacher.addNodeENI('second', { nodeSelector: { node: 'a1' }, subnetIDs })
  const refusal = await attacher.event('NodeENI', 'second', 'NodeFull')
  assert.match(refusal, /instance i-a1 \(m5.xlarge\) has no free ENI slot/)
  const posts = () =>
    attacher.api.requests.filter(({ method, path }) => method === 'POST' && path.endsWith('attachments'))
  await attacher.attachmentsAre(allAttached(3))
  const before = posts().length
  attacher.clock.jump(30_000)
  attacher.api.store('nodes').update('a1', (node) => mergePatch(node, { metadata: { labels: { changed: 'yes' } } }))
  attacher.addNodeENI('last', { subnetIDs: ['subnet-0'] })
  await attacher.ready('last', 'False')
  assert.equal(posts().length, before, 'no new try after half a minute')
  for (let sweep = 0; sweep < 3; sweep++) await attacher.clock.jumpUntil(61_000, attacher.call('DescribeInstances'))
  assert.equal(posts().length, before, 'nor later, while there is no room')
  assert.equal(attacher.ec2.calls.count('CreateNetworkInterface'), 3)
  attacher.api.store('nodeenis').delete('first')
  await attacher.clock.jumpUntil(
    61_000,
    attacher.attachmentsAre(
      (all) =>
        all.filter(({ spec, status }) => spec.nodeENI === 'second' && status?.eni?.attached === true).length === 3,
    ),
  )
  checkAccount(attacher)
})

test(
  'a node whose budget is filled by EBS volumes is given none, rather than one that never attaches',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    attacher.addNode('full')
    attacher.addNodeENI('n6', { nodeSelector: { node: 'full' } })
    assert.match(await attacher.event('NodeENI', 'n6', 'NodeFull'), /i-full .*EBS/)
    await attacher.attachmentsAre((all) => all.length === 0)
    checkEmpty(attacher)
  },
)

test('a node whose instance EC2 does not know keeps nobody else from an ENI', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNode('ghost')
  attacher.addNodeENI('n6', { nodeSelector: {} })
  await attacher.attachmentsAre(allAttached(2))
  checkAccount(attacher)
})

test('warm: as many idle ENIs as told; a pod takes one and another is made', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.addNodeENI('upf', { nodeSelector: { node: 'a1' }, dpdkResourceName: resource, warm: 1, maxPerNode: 2 })
  const [first] = await attacher.attachmentsAre(allAttached(1))
  attacher.setClaim(first?.metadata.name ?? '', attacher.addPod('upf-0'))
  const two = await attacher.attachmentsAre(allAttached(2))
  assert.equal(two.filter(isIdle).length, 1)
  for (const { metadata, spec } of two) if (!spec.claim) attacher.setClaim(metadata.name, attacher.addPod('upf-1'))
  await attacher.nodeENIIs('upf', ({ status }) => status?.attached === 2)
  attacher.clock.jump(11 * 60_000)
  await attacher.call('DescribeSubnets')
  assert.equal(attacher.attachments().length, 2, 'maxPerNode is the end of it')
  checkAccount(attacher)
})

test('warm: of the idle ones only those beyond are released', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const spec = { nodeSelector: { node: 'a1' }, dpdkResourceName: resource, releaseAfter: '0s' }
  attacher.addNodeENI('upf', { ...spec, warm: 1 })
  const [first] = await attacher.attachmentsAre(allAttached(1))
  const claim = attacher.addPod('upf-0')
  attacher.setClaim(first?.metadata.name ?? '', claim)
  await attacher.attachmentsAre(allAttached(2))
  attacher.endPod(claim)
  await attacher.attachmentsAre(allAttached(1))
  attacher.changeNodeENI('upf', { warm: 0 })
  await attacher.attachmentsAre((all) => all.length === 0)
  checkEmpty(attacher)
})
