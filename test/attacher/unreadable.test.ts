// Objects that were stored before their CRD became stricter: what cannot be read is not gone, and nothing is taken away for it.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { NodeENI } from '../../src/api/node-eni.ts'
import type { KubeObject } from '../kube-api/resources.ts'

import { resource } from './attacher-world.ts'
import { ours } from './lab/invariants.ts'
import { Lab } from './lab/lab.ts'

const minuteMs = 60_000
const soonMs = 10 * minuteMs

class Unreadable extends Lab {
  /** An idle warm ENI, and one that a pod holds, of NodeENI `upf` on node a1, long ago. */
  static async start(): Promise<Unreadable> {
    const lab = new Unreadable()
    lab.scene.addNode('a1')
    lab.scene.addNodeENI('upf', { dpdkResourceName: resource, warm: 1, releaseAfter: '1m' })
    lab.startAttacher()
    lab.scene.addIntent('upf-1', lab.scene.addUnboundPod('upf-0'))
    await lab.until(() => lab.scene.attachments().filter(({ status }) => status?.device?.advertised).length === 2)
    await lab.clock.advance(soonMs)
    return lab
  }

  async until(isSo: () => boolean): Promise<void> {
    await this.clock.until(isSo, soonMs)
  }

  /** In `spec`, as nobody could write it now. */
  spoil(kind: 'nodeenis' | 'eniattachments', name: string, spoiled: object): void {
    this.api.store(kind).updateUnchecked(name, (object) => ({ ...object, spec: { ...specOf(object), ...spoiled } }))
  }

  get ready() {
    const nodeENI = this.api.store('nodeenis').get('upf') as unknown as NodeENI | undefined
    return nodeENI?.status?.conditions?.find(({ type }) => type === 'Ready')
  }

  get idleName(): string {
    const idle = this.scene.attachments().find(({ spec }) => spec.claim === undefined)
    return idle?.metadata.name ?? assert.fail('there is no idle ENI')
  }

  /** All ENIs are as they were, in Kubernetes and in EC2. */
  assertUntouched(): void {
    assert.equal(this.scene.attachments().filter(({ metadata }) => metadata.deletionTimestamp === undefined).length, 2)
    assert.deepEqual(
      ours(this.scene).map(({ attachment }) => attachment?.status),
      ['attached', 'attached'],
    )
  }
}

const specOf = (object: KubeObject) => object['spec'] as object

for (const isRestarted of [false, true])
  test(`a NodeENI that cannot be read says so, and keeps its ENIs${isRestarted ? ', after a restart too' : ''}`, async () => {
    const lab = await Unreadable.start()
    lab.spoil('nodeenis', 'upf', { warm: 'many' })
    if (isRestarted) lab.startAttacher()
    await lab.until(() => lab.ready?.reason === 'Invalid')
    assert.equal(lab.ready?.status, 'False')
    assert.match(lab.ready?.message ?? '', /^it is not what its CRD says: spec.warm: .*expected number/)
    const events = lab.api.store('events').list()
    assert.ok(events.some(({ reason, type }) => reason === 'Invalid' && type === 'Warning'))
    await lab.clock.advance(60 * minuteMs)
    lab.assertUntouched()
    lab.api.store('nodeenis').update('upf', (object) => ({ ...object, spec: { ...specOf(object), warm: 0 } }))
    await lab.until(() => lab.ready?.status === 'True' && lab.scene.attachments().length === 1)
  })

test('an ENI that is asked for of a NodeENI that cannot be read is given up, and the pod hears why', async () => {
  const lab = await Unreadable.start()
  lab.spoil('nodeenis', 'upf', { warm: 'many' })
  lab.scene.addIntent('upf-2', lab.scene.addUnboundPod('upf-1'))
  await lab.until(() => lab.scene.attachment('upf-2').status?.eni?.failure?.terminal === true)
  const { reason, message = '' } = lab.scene.attachment('upf-2').status?.eni?.failure ?? {}
  assert.equal(reason, 'NodeENIInvalid')
  assert.match(message, /NodeENI upf cannot be read: see its condition Ready/)
})

test('a NodeENI that cannot be read is deleted as any other: when its last ENI is gone', async () => {
  const lab = await Unreadable.start()
  lab.spoil('nodeenis', 'upf', { warm: 'many' })
  lab.api.store('nodeenis').delete('upf')
  await lab.until(() => ours(lab.scene).length === 1)
  await lab.clock.advance(soonMs)
  assert.notEqual(lab.ready, undefined)
  lab.scene.endPod({ namespace: 'cnf', name: 'upf-0', uid: '' })
  await lab.until(() => lab.api.store('nodeenis').get('upf') === undefined)
  assert.deepEqual(ours(lab.scene), [])
})

for (const name of ['idle', 'held'])
  test(`an ENIAttachment that cannot be read keeps its ENI, detached or not: ${name}`, async () => {
    const lab = await Unreadable.start()
    const attachment = name === 'idle' ? lab.idleName : 'upf-1'
    const eniID = lab.scene.attachment(attachment).status?.eni?.eniID ?? ''
    lab.spoil('eniattachments', attachment, { nodeName: 1 })
    await lab.clock.advance(soonMs)
    lab.assertUntouched()
    lab.ec2.detachByHand(eniID)
    await lab.clock.advance(soonMs)
    assert.equal(lab.ec2.state.findEni(eniID)?.status, 'available')
    lab.spoil('eniattachments', attachment, { nodeName: 'a1' })
    await lab.until(() => lab.ec2.state.findEni(eniID)?.attachment?.status === 'attached')
  })

test('a NodeENI stays while one of its ENIAttachments cannot be read', async () => {
  const lab = await Unreadable.start()
  lab.spoil('eniattachments', 'upf-1', { nodeName: 1 })
  lab.api.store('nodeenis').delete('upf')
  await lab.until(() => ours(lab.scene).length === 1)
  await lab.clock.advance(soonMs)
  assert.match(lab.ready?.message ?? '', /these ENIAttachments cannot be read, put them right: upf-1$/)
  lab.spoil('eniattachments', 'upf-1', { nodeName: 'a1' })
  lab.scene.endPod({ namespace: 'cnf', name: 'upf-0', uid: '' })
  await lab.until(() => lab.api.store('nodeenis').get('upf') === undefined)
})

test('an instance that ends takes the ENIs of a NodeENI that cannot be read with it', async () => {
  const lab = await Unreadable.start()
  lab.spoil('nodeenis', 'upf', { warm: 'many' })
  await lab.until(() => lab.ready?.reason === 'Invalid')
  lab.scene.terminateInstance('i-a1')
  lab.api.store('nodes').delete('a1')
  await lab.until(() => lab.scene.attachments().length === 0)
  assert.deepEqual(ours(lab.scene), [])
})

test('an ENI that was given up goes, whether its NodeENI can be read or not', async () => {
  const lab = await Unreadable.start()
  lab.spoil('nodeenis', 'upf', { warm: 'many' })
  lab.scene.addIntent('upf-2', lab.scene.addUnboundPod('upf-1'))
  await lab.until(() => lab.scene.attachment('upf-2').status?.eni?.failure?.terminal === true)
  lab.scene.setClaim('upf-2', undefined)
  await lab.until(() => lab.scene.attachments().length === 2)
  lab.assertUntouched()
})
