// The safety net: which ENIs it deletes, and which never.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'

import { attachNetworkInterface } from '../../sim/ec2/state/attach-network-interface.ts'
import { createNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'
import { startEc2 } from '../../sim/ec2/start-ec2.ts'
import { attachmentTag, clusterTag } from '../../src/api/names.ts'
import { AttacherMetrics } from '../../src/attacher/metrics.ts'
import { GarbageCollector } from '../../src/attacher/garbage-collector.ts'

import { attacherWorld } from './attacher-world.ts'
import { ec2Client } from './ec2-access.ts'
import { storeUnderTest } from './store-under-test.ts'

const logged: { msg: string; eni?: string; enis?: string[]; attachments?: string[] }[] = []
const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(JSON.parse(line)) })

async function collectorUnderTest(t: TestContext, mode: 'delete' | 'report' = 'delete') {
  const ec2 = await startEc2({ world: attacherWorld })
  Object.assign(process.env, ec2.environment())
  t.after(() => ec2.stop())
  const { store, add, nameEni, remove, spoil } = await storeUnderTest(t, log)
  const client = ec2Client()
  const metrics = new AttacherMetrics()
  const collector = new GarbageCollector({ ec2: client, store, mode, metrics, log })
  /** So far. */
  const results = async () =>
    Object.fromEntries((await metrics.collections.get()).values.map(({ labels, value }) => [labels.result, value]))
  const pass = async () => collector.pass(await client.describeEnisByTag(clusterTag, ['ours']))
  const addEni = (tags: Record<string, string>) =>
    createNetworkInterface(ec2.state, { subnetId: 'subnet-a1', tags: new Map(Object.entries(tags)) }).eniId
  /** Returns the uid of the object once the collector's store knows it. */
  const addObject = async (name: string) => (await add(name)).metadata.uid
  return { ec2, pass, addEni, addObject, nameEni, remove, spoil, results }
}

test('an ENI with our tag that no object names goes in the second pass', async (t) => {
  const { ec2, pass, addEni } = await collectorUnderTest(t)
  const orphan = addEni({ [clusterTag]: 'ours', [attachmentTag]: 'uid-of-nobody' })
  await pass()
  assert.notEqual(ec2.state.findEni(orphan), undefined)
  await pass()
  assert.equal(ec2.state.findEni(orphan), undefined)
})

test('so does one without the tag that says of which object it is, whatever else is being made', async (t) => {
  const { ec2, pass, addEni, addObject } = await collectorUnderTest(t)
  await addObject('pending')
  const orphan = addEni({ [clusterTag]: 'ours' })
  for (let i = 0; i < 2; i++) await pass()
  assert.equal(ec2.state.findEni(orphan), undefined)
})

test('told to report only, it deletes nothing and says what it would delete', async (t) => {
  const { ec2, pass, addEni, results } = await collectorUnderTest(t, 'report')
  const orphan = addEni({ [clusterTag]: 'ours' })
  logged.length = 0
  for (let i = 0; i < 3; i++) await pass()
  assert.notEqual(ec2.state.findEni(orphan), undefined)
  assert.deepEqual(logged.at(-1), {
    ...logged.at(-1),
    msg: 'ENIs without an ENIAttachment would be deleted',
    enis: [orphan],
  })
  assert.deepEqual(await results(), { would_delete: 2 })
})

test('an ENI of another cluster, and one without our tags, stay for ever', async (t) => {
  const { ec2, pass, addEni } = await collectorUnderTest(t)
  const others = [
    addEni({ [clusterTag]: 'theirs', [attachmentTag]: '1' }),
    addEni({ [attachmentTag]: '2' }),
    addEni({}),
  ]
  for (let i = 0; i < 3; i++) await pass()
  for (const id of others) assert.notEqual(ec2.state.findEni(id), undefined)
})

test('an ENI whose object is there stays, also when that object came only after the first pass', async (t) => {
  const { ec2, pass, addEni, addObject } = await collectorUnderTest(t)
  const early = addEni({ [clusterTag]: 'ours', [attachmentTag]: await addObject('early') })
  await pass()
  const late = addEni({ [clusterTag]: 'ours', [attachmentTag]: await addObject('late') })
  for (let i = 0; i < 3; i++) await pass()
  assert.notEqual(ec2.state.findEni(early), undefined)
  assert.notEqual(ec2.state.findEni(late), undefined)
})

test('the second ENI of an object goes, once EC2 shows the one that the object names', async (t) => {
  const { ec2, pass, addEni, addObject, nameEni } = await collectorUnderTest(t)
  const tags = { [clusterTag]: 'ours', [attachmentTag]: await addObject('twice') }
  const [first, second] = [addEni(tags), addEni(tags)]
  for (let i = 0; i < 3; i++) await pass()
  for (const id of [first, second]) assert.notEqual(ec2.state.findEni(id), undefined, 'either may be its')
  await nameEni('twice', 'eni-not-shown')
  for (let i = 0; i < 3; i++) await pass()
  for (const id of [first, second]) assert.notEqual(ec2.state.findEni(id), undefined, 'either may be adopted')
  await nameEni('twice', first)
  await pass()
  assert.notEqual(ec2.state.findEni(second), undefined)
  await pass()
  assert.equal(ec2.state.findEni(second), undefined)
  assert.notEqual(ec2.state.findEni(first), undefined)
})

test('while an object cannot be read nothing is deleted: any ENI may be its', async (t) => {
  const { ec2, pass, addEni, addObject, remove, spoil, results } = await collectorUnderTest(t)
  await addObject('odd')
  await spoil('odd')
  const orphan = addEni({ [clusterTag]: 'ours' })
  logged.length = 0
  for (let i = 0; i < 3; i++) await pass()
  assert.notEqual(ec2.state.findEni(orphan), undefined)
  assert.match(logged.at(-1)?.msg ?? '', /may be of ENIAttachments that cannot be read/)
  assert.deepEqual([logged.at(-1)?.attachments, logged.at(-1)?.enis], [['odd'], [orphan]])
  assert.deepEqual(await results(), { kept: 2 })
  await remove('odd')
  await pass()
  assert.equal(ec2.state.findEni(orphan), undefined)
})

test('an attached ENI stays, and goes once it is detached', async (t) => {
  const { ec2, pass, addEni } = await collectorUnderTest(t)
  const orphan = addEni({ [clusterTag]: 'ours' })
  attachNetworkInterface(ec2.state, { eniId: orphan, instanceId: 'i-a1', deviceIndex: 1, networkCard: 0 })
  for (let i = 0; i < 3; i++) await pass()
  assert.notEqual(ec2.state.findEni(orphan), undefined)
  assert.equal(ec2.calls.count('DetachNetworkInterface'), 0)
  ec2.detachByHand(orphan)
  await pass()
  assert.equal(ec2.state.findEni(orphan), undefined)
})

test('an orphan that somebody else deletes first keeps no other from being collected', async (t) => {
  const { ec2, pass, addEni, results } = await collectorUnderTest(t)
  const orphans = [addEni({ [clusterTag]: 'ours' }), addEni({ [clusterTag]: 'ours' })]
  await pass()
  const kind = { code: 'InvalidNetworkInterfaceID.NotFound' }
  ec2.faults.add({ action: 'DeleteNetworkInterface', when: 'after', kind })
  await pass()
  for (const id of orphans) assert.equal(ec2.state.findEni(id), undefined)
  assert.deepEqual(await results(), { deleted: 1 })
})

test('an orphan that EC2 does not let go keeps no other from being collected, and is tried again', async (t) => {
  const { ec2, pass, addEni, results } = await collectorUnderTest(t)
  const [stuck, ...others] = [1, 2, 3].map(() => addEni({ [clusterTag]: 'ours' }))
  await pass()
  const late = addEni({ [clusterTag]: 'ours' })
  const kind = { code: 'UnauthorizedOperation', status: 403 }
  ec2.faults.add({ action: 'DeleteNetworkInterface', when: 'before', kind })
  await pass()
  for (const id of others) assert.equal(ec2.state.findEni(id), undefined)
  assert.notEqual(ec2.state.findEni(stuck ?? ''), undefined)
  assert.ok(logged.some(({ eni, msg }) => eni === stuck && /not deleted/.test(msg)))
  await pass()
  for (const id of [stuck ?? '', late]) assert.equal(ec2.state.findEni(id), undefined)
  assert.deepEqual(await results(), { failed: 1, deleted: 4 })
})

test('attached orphans are named once a pass, since nobody else does', async (t) => {
  const { ec2, pass, addEni } = await collectorUnderTest(t)
  const [first, second] = [addEni({ [clusterTag]: 'ours' }), addEni({ [clusterTag]: 'ours' })]
  attachNetworkInterface(ec2.state, { eniId: first, instanceId: 'i-a1', deviceIndex: 1, networkCard: 0 })
  attachNetworkInterface(ec2.state, { eniId: second, instanceId: 'i-a2', deviceIndex: 1, networkCard: 0 })
  await pass()
  logged.length = 0
  await pass()
  assert.deepEqual(
    logged.map(({ enis }) => enis),
    [[`${first} on i-a1`, `${second} on i-a2`]],
  )
})

test('fifty are deleted in a pass, and those that EC2 does not let go keep no other waiting', async (t) => {
  const { ec2, pass, addEni, results } = await collectorUnderTest(t)
  const orphans = Array.from({ length: 120 }, () => addEni({ [clusterTag]: 'ours' }))
  await pass()
  const kind = { code: 'UnauthorizedOperation', status: 403 }
  ec2.faults.add({ action: 'DeleteNetworkInterface', when: 'before', times: 50, kind })
  await pass()
  assert.deepEqual(await results(), { failed: 50 })
  await pass()
  assert.deepEqual(await results(), { failed: 50, deleted: 50 })
  assert.equal(
    orphans.slice(0, 50).every((id) => ec2.state.findEni(id) !== undefined),
    true,
  )
  const late = addEni({ [clusterTag]: 'ours' })
  await pass()
  assert.deepEqual(await results(), { failed: 50, deleted: 100 })
  await pass()
  assert.deepEqual(await results(), { failed: 50, deleted: 121 })
  assert.equal(ec2.state.findEni(late), undefined)
})
