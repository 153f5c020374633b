// A card is taken from a node without its device plugin only when EC2 says that the instance is gone.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { deviceFinalizer } from '../../src/api/names.ts'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'

const options = { timeout: 15_000 }

/** An ENI on node a1, whose device plugin has stopped, and whose pod has ended. */
async function abandoned(attacher: AttacherUnderTest): Promise<void> {
  const claim = await attacher.addStory()
  await attacher.attached('upf-1')
  attacher.devicePlugin.isThere = false
  attacher.endPod(claim)
  await attacher.attachmentIs('upf-1', ({ metadata }) => metadata.deletionTimestamp !== undefined)
}

/** The attacher gets to know what has become of the instances: a node that it has not seen yet makes it ask. */
async function instancesDescribed(attacher: AttacherUnderTest): Promise<void> {
  const described = attacher.call('DescribeInstances')
  attacher.addNode('ghost')
  await described
}

function checkStillAttached(attacher: AttacherUnderTest): void {
  assert.ok(attacher.attachment('upf-1').metadata.finalizers?.includes(deviceFinalizer))
  assert.equal(attacher.ec2.calls.count('DetachNetworkInterface'), 0)
  checkAccount(attacher)
}

test('a live node without its device plugin keeps the card until the plugin is back', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await abandoned(attacher)
  await instancesDescribed(attacher)
  for (let look = 0; look < 4; look++) {
    await attacher.clock.jumpUntil(31_000, attacher.call('DescribeSubnets'))
    checkStillAttached(attacher)
  }
  attacher.devicePlugin.isThere = true
  attacher.devicePlugin.look('upf-1')
  await attacher.gone('upf-1')
  checkEmpty(attacher)
})

test('a Node object that is gone proves nothing: the instance may run', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await abandoned(attacher)
  attacher.api.store('nodes').delete('a1')
  for (let look = 0; look < 3; look++) {
    await attacher.clock.jumpUntil(31_000, attacher.call('DescribeInstances'))
    checkStillAttached(attacher)
  }
})

test('a terminated instance: EC2 has deleted the ENI, and the object goes', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await abandoned(attacher)
  attacher.ec2.terminateInstance('i-a1')
  attacher.foreign.delete([...attacher.foreign].find((id) => attacher.ec2.state.findEni(id) === undefined) ?? '')
  await instancesDescribed(attacher)
  await attacher.clock.jumpUntil(31_000, attacher.gone('upf-1'))
  assert.equal(attacher.ec2.calls.count('DetachNetworkInterface'), 0)
  checkEmpty(attacher)
})

test('a stopped instance lets its ENI be detached and deleted', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await abandoned(attacher)
  attacher.ec2.stopInstance('i-a1')
  await instancesDescribed(attacher)
  await attacher.clock.jumpUntil(31_000, attacher.gone('upf-1'))
  checkEmpty(attacher)
})

test('an ENI that EC2 was never asked for needs no device plugin to go', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  attacher.devicePlugin.isThere = false
  attacher.addIntent('upf-1', undefined, { nodeENI: 'none' })
  await attacher.gone('upf-1')
  checkEmpty(attacher)
})

test(
  'an instance that replaced another under the same node name is served, and the old ENI is released',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    const claim = await attacher.addStory({ releaseAfter: '1h' })
    await attacher.attached('upf-1')
    attacher.ec2.terminateInstance('i-a1')
    attacher.foreign.delete([...attacher.foreign].find((id) => attacher.ec2.state.findEni(id) === undefined) ?? '')
    attacher.devicePlugin.isThere = false
    attacher.api.store('nodes').update('a1', (node) => ({ ...node, spec: { providerID: 'aws:///eu-north-1a/i-a2' } }))
    attacher.endPod(claim)
    await attacher.gone('upf-1')
    attacher.addIntent('upf-2', attacher.addPod('upf-2'), { instanceID: 'i-a2' })
    await attacher.attached('upf-2')
    checkAccount(attacher)
  },
)
