// A device plugin that can never use an ENI on its node: it is said, the ENI goes, and no other is made there until that may help.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { deviceFinalizer } from '../../src/api/names.ts'
import type { NodeENI } from '../../src/api/node-eni.ts'
import type { KubeObject } from '../kube-api/resources.ts'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'

const options = { timeout: 15_000 }

const failureOf = (reason: string) => {
  const time = new Date().toISOString()
  return { reason, message: `${reason} on the node`, terminal: true, time }
}

/** Every ENI that is attached to node a1 turns out to be useless. */
function failOnA1(attacher: AttacherUnderTest, reason: string): () => void {
  return attacher.api.store('eniattachments').onChange(({ object, type }) => {
    const { status, spec } = object as KubeObject & { status?: { eni?: { attached?: boolean }; device?: object } } & {
      spec: { nodeName: string }
    }
    if (type === 'DELETED' || status?.eni?.attached !== true || status.device !== undefined) return
    if (spec.nodeName !== 'a1') return
    const name = object.metadata.name
    setImmediate(() => attacher.devicePlugin.report(name, { health: 'Unhealthy', failure: failureOf(reason) }))
  })
}

const warm = { dpdkResourceName: resource, warm: 1, nodeSelector: { node: 'a1' } }
const hasRefusal = (reason: string) => (capacity: { refused?: { reason: string }[] | undefined }) =>
  capacity.refused?.some((one) => one.reason === reason) ?? false
const hasNone = (capacity: { refused?: object[] | undefined }) => capacity.refused === undefined

/** What condition NodesUsable of the NodeENI says against its nodes, once it does. */
async function usable(attacher: AttacherUnderTest, name: string): Promise<string | undefined> {
  const conditionOf = ({ status }: NodeENI) => status?.conditions?.find(({ type }) => type === 'NodesUsable')
  const nodeENI = await attacher.nodeENIIs(name, (one) => conditionOf(one)?.status === 'False')
  return conditionOf(nodeENI)?.message
}

/** The work that one more NodeENI makes has been done, and all that was due before it. */
async function settled(attacher: AttacherUnderTest, name: string): Promise<void> {
  attacher.addNodeENI(name, { subnetIDs: ['subnet-0'] })
  await attacher.ready(name, 'False')
}

test(
  'a missing driver: one ENI, not a storm; the node is tried again after five minutes, then after ten',
  options,
  async (t) => {
    const attacher = await AttacherUnderTest.start(t)
    failOnA1(attacher, 'DriverMissing')
    attacher.addNodeENI('upf', warm)
    const { refused } = await attacher.capacityIs('a1', hasRefusal('DriverMissing'))
    assert.deepEqual(refused, [{ nodeENI: 'upf', generation: 1, reason: 'DriverMissing' }])
    assert.match(await attacher.event('NodeENI', 'upf', 'DriverMissing'), /node a1: DriverMissing on the node/)
    assert.match((await usable(attacher, 'upf')) ?? '', /^1 of its nodes cannot use its ENIs: a1 \(DriverMissing\)/)
    await attacher.attachmentsAre((all) => all.length === 0)
    for (let minute = 1; minute < 5; minute++) {
      attacher.clock.jump(60_000)
      await settled(attacher, `after-${minute}`)
    }
    assert.equal(attacher.created, 1)
    attacher.clock.jump(61_000)
    await attacher.call('CreateNetworkInterface')
    await attacher.attachmentsAre((all) => all.length === 0)
    assert.equal(attacher.created, 2)
    const again = await attacher.capacityIs('a1', hasRefusal('DriverMissing'))
    assert.deepEqual(again.refused, [{ nodeENI: 'upf', generation: 1, reason: 'DriverMissing', tries: 2 }])
    attacher.clock.jump(6 * 60_000)
    await settled(attacher, 'six-minutes-later')
    assert.equal(attacher.created, 2)
    checkEmpty(attacher)
  },
)

const mendings: Record<string, (node: KubeObject) => KubeObject> = {
  'that was restarted': (node) => ({ ...node, status: { nodeInfo: { bootID: 'boot-2' } } }),
  'whose annotation somebody has removed': ({ metadata, ...node }) => ({
    ...node,
    metadata: { ...metadata, annotations: {} },
  }),
}

for (const [which, mend] of Object.entries(mendings)) {
  test(`a node ${which} is tried at once`, options, async (t) => {
    const attacher = await AttacherUnderTest.prepare(t)
    attacher.api.store('nodes').update('a1', (node) => ({ ...node, status: { nodeInfo: { bootID: 'boot-1' } } }))
    attacher.startControllers()
    const stop = failOnA1(attacher, 'DriverMissing')
    attacher.addNodeENI('upf', warm)
    const { bootID } = await attacher.capacityIs('a1', hasRefusal('DriverMissing'))
    assert.equal(bootID, 'boot-1')
    await attacher.attachmentsAre((all) => all.length === 0)
    stop()
    attacher.api.store('nodes').update('a1', mend)
    await attacher.attachmentsAre(([one]) => one?.status?.eni?.attached === true)
    await attacher.capacityIs('a1', hasNone)
    checkAccount(attacher)
  })
}

test('the annotation forgets a rest that is over', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const stop = failOnA1(attacher, 'DriverMissing')
  attacher.addNodeENI('upf', warm)
  await attacher.capacityIs('a1', hasRefusal('DriverMissing'))
  await attacher.attachmentsAre((all) => all.length === 0)
  stop()
  attacher.clock.jump(5 * 60_000)
  await attacher.capacityIs('a1', hasNone)
  await attacher.attachmentsAre(([one]) => one?.status?.eni?.attached === true)
  checkAccount(attacher)
})

test('a PCI address that does not match: no other try until the NodeENI changes', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  const stop = failOnA1(attacher, 'PCIAddressMismatch')
  attacher.addNodeENI('upf', { ...warm, dpdkPCIAddress: '0000:00:07.0' })
  await attacher.capacityIs('a1', hasRefusal('PCIAddressMismatch'))
  await attacher.attachmentsAre((all) => all.length === 0)
  attacher.clock.jump(60 * 60_000)
  await settled(attacher, 'an-hour-later')
  assert.equal(attacher.created, 1)
  stop()
  attacher.changeNodeENI('upf', { dpdkPCIAddress: '0000:00:06.0' })
  await attacher.attachmentsAre(([one]) => one?.status?.eni?.attached === true)
  await attacher.capacityIs('a1', hasNone)
  assert.equal(attacher.created, 2)
  checkAccount(attacher)
})

test('a restarted attacher knows of it', options, async (t) => {
  const attacher = await AttacherUnderTest.prepare(t)
  const stopFirst = attacher.startControllers()
  failOnA1(attacher, 'PCIAddressMismatch')
  attacher.addNodeENI('upf', warm)
  await attacher.capacityIs('a1', hasRefusal('PCIAddressMismatch'))
  await attacher.attachmentsAre((all) => all.length === 0)
  await stopFirst()
  attacher.clock.jump(61_000)
  attacher.startControllers()
  await settled(attacher, 'after-the-start')
  attacher.clock.jump(61_000)
  await settled(attacher, 'a-minute-later')
  assert.equal(attacher.created, 1)
  assert.ok(hasRefusal('PCIAddressMismatch')(await attacher.capacityIs('a1', () => true)))
  checkEmpty(attacher)
})

test('a pod is told, and an intent that the extender wrote before it heard of it costs no ENI', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  failOnA1(attacher, 'DriverMissing')
  await attacher.addStory()
  assert.match(await attacher.event('Pod', 'upf-0', 'DriverMissing'), /node a1: DriverMissing on the node/)
  await attacher.capacityIs('a1', hasRefusal('DriverMissing'))
  attacher.addIntent('upf-2', attacher.addPod('upf-2'))
  const { status } = await attacher.failed('upf-2')
  assert.equal(status?.eni?.failure?.reason, 'DriverMissing')
  attacher.addIntent('upf-3', attacher.addPod('upf-3', 'a2'), { nodeName: 'a2', instanceID: 'i-a2' })
  await attacher.attached('upf-3')
  assert.equal(attacher.created, 2)
  for (const name of ['upf-1', 'upf-2', 'upf-3']) attacher.setClaim(name, undefined)
  await attacher.attachmentsAre((all) => all.length === 0)
  checkEmpty(attacher)
})

test('a failure that is not for good is no refusal', options, async (t) => {
  const attacher = await AttacherUnderTest.start(t)
  await attacher.addStory()
  await attacher.attached('upf-1')
  attacher.devicePlugin.report('upf-1', { failure: { ...failureOf('SysfsStuck'), terminal: false } })
  await settled(attacher, 'later')
  assert.ok(hasNone(await attacher.capacityIs('a1', () => true)))
  assert.ok(attacher.attachment('upf-1').metadata.finalizers?.includes(deviceFinalizer))
  checkAccount(attacher)
})
