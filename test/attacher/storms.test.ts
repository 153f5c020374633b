// What EC2 or the API server refuses again and again is not asked for again and again.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { attacherWorld } from './attacher-world.ts'
import { AccountInUse, hourMs, minuteMs } from './lab/account-in-use.ts'

const creates = (lab: AccountInUse, sinceMs: number) => lab.callsSince(sinceMs, 'CreateNetworkInterface').length

test('an instance that takes no ENI, though there seems to be room, is left alone for a while', async () => {
  const lab = new AccountInUse()
  await lab.start()
  lab.scene.changeNodeENI('upf', { releaseAfter: '0s' })
  const attaches = { action: 'AttachNetworkInterface', when: 'before', times: Infinity } as const
  const end = lab.ec2.faults.add({ ...attaches, kind: { code: 'AttachmentLimitExceeded', status: 400 } })
  const since = lab.clock.now()
  lab.addPod('comes', 'a2')
  await lab.clock.advance(hourMs)
  assert.ok(creates(lab, since) <= 13, `${creates(lab, since)} creates in an hour`)
  lab.assertHeldUntouched()
  end()
  await lab.until(() => lab.isServed('comes'), 6 * minuteMs)
})

test('pods that EC2 refuses in the same moment block their NodeENI as one does', async () => {
  const lab = new AccountInUse()
  await lab.start()
  const all = { action: 'CreateNetworkInterface', when: 'before', times: Infinity } as const
  const end = lab.ec2.faults.add({ ...all, kind: { code: 'InvalidSecurityGroup.InUse', status: 400 } })
  lab.addPod('first', 'a2')
  lab.addPod('second', 'a2')
  await lab.clock.advance(3_000)
  end()
  await lab.until(() => lab.isServed('first') && lab.isServed('second'), minuteMs)
})

test('an ENI with as many addresses as a NodeENI may ask for is made once, and attached', async () => {
  const [first, ...others] = attacherWorld.instances
  const instances = [{ ...first, instanceId: 'i-a1', instanceType: 'c6in.16xlarge', subnetId: 'subnet-a1' }, ...others]
  const subnets = attacherWorld.subnets.map((subnet) =>
    subnet.subnetId === 'subnet-a1' ? { ...subnet, ipv6CidrBlock: '2001:db8::/64' } : subnet,
  )
  const lab = new AccountInUse({ ec2: { world: { ...attacherWorld, instances, subnets } } })
  lab.addUpf()
  lab.scene.changeNodeENI('upf', { secondaryPrivateIPv4AddressCount: 49, ipv6AddressCount: 50 })
  lab.startAttacher()
  lab.addPod('comes', 'a1')
  await lab.until(() => lab.isServed('comes'))
  assert.equal(creates(lab, 0), 1)
  assert.equal(lab.attachmentOf('comes')?.status?.eni?.addresses?.length, 100)
})

test('a create whose answer was lost so long ago that EC2 has forgotten its token is not made again', async () => {
  const lab = new AccountInUse()
  await lab.start()
  const end = lab.ec2.faults.add({ action: 'CreateNetworkInterface', when: 'after', times: Infinity, kind: 'reset' })
  const since = lab.clock.now()
  lab.addPod('comes', 'a2')
  await lab.until(() => creates(lab, since) > 0)
  lab.stopAttacher()
  await lab.clock.advance(13 * hourMs)
  end()
  lab.startAttacher()
  await lab.until(() => lab.isServed('comes'))
  await lab.assertAllWell()
  assert.equal(lab.made().length, 4, 'three that were there, and one')
})
