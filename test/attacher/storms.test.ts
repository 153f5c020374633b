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

/** Three on each node. */
const waiting = 102

async function manyWait(begin: (lab: AccountInUse) => () => void): Promise<{ lab: AccountInUse; end: () => void }> {
  const nodes = Array.from({ length: waiting / 3 }, (_, i) => `n${i}`)
  const tags = { 'kubernetes.io/cluster/test-cluster': 'owned' }
  const type = { instanceType: 'm5.xlarge', subnetId: 'subnet-a1' }
  const instances = [...attacherWorld.instances, ...nodes.map((node) => ({ ...type, instanceId: `i-${node}` }))]
  const world = { ...attacherWorld, instances: instances.map((instance) => ({ ...instance, tags })) }
  const lab = new AccountInUse({ ec2: { world }, watchfulness: 'only the end' })
  for (const node of nodes) lab.scene.addNode(node)
  await lab.start()
  const end = begin(lab)
  for (let i = 0; i < waiting; i++) lab.addPod(`waits-${i}`, nodes[Math.floor(i / 3)] ?? assert.fail())
  return { lab, end }
}

const outages: Readonly<Record<string, (lab: AccountInUse) => () => void>> = {
  'rejects our credentials': ({ ec2: { iam } }) => {
    iam.sessions.reject()
    return () => iam.sessions.restore()
  },
  'rejects our credentials once the ENIs are made': (lab) => {
    lab.onCall('AttachNetworkInterface', () => lab.ec2.iam.sessions.reject())
    return () => lab.ec2.iam.sessions.restore()
  },
  'gives no answer': ({ ec2 }) => ec2.faults.add({ action: '*', when: 'before', times: Infinity, kind: 'reset' }),
}
for (const [name, begin] of Object.entries(outages))
  test(`for an hour EC2 ${name}, and a hundred ENIs wait: it is asked now and then, and soon serves all`, async () => {
    const { lab, end } = await manyWait(begin)
    await lab.clock.advance(5_000)
    const since = lab.clock.now()
    await lab.clock.advance(hourMs)
    const { length } = lab.callsSince(since)
    // Credentials are refused to all actions alike; without an answer each action is tried by itself.
    const callsMax = name === 'gives no answer' ? 600 : 200
    assert.ok(length > 60 && length < callsMax, `${length} calls`)
    assert.match(lab.events('Pod', `waits-${waiting - 1}`).join('\n'), /EC2 \w+: (AuthFailure|NoAnswer): /)
    end()
    const served = () =>
      Array.from({ length: waiting }, (_, i) => `waits-${i}`).filter((pod) => lab.isServed(pod)).length
    await lab.until(() => served() > 0, minuteMs)
    // As the bucket of attaches allows: nobody backs off any more. What was planned an hour ago, and may be there, is looked for first.
    await lab.until(() => served() >= waiting - 5, 25_000)
    await lab.assertAllWell()
    await lab.assertLeavesNothing()
  })
