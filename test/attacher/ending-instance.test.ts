// An instance that ends takes its ENIs with it: EC2 is not asked to detach or delete what it takes itself. Only what it leaves is
// deleted, once, when the instance has ended.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { attacherWorld, resource } from './attacher-world.ts'
import { ours } from './lab/invariants.ts'
import { minuteMs } from './lab/account-in-use.ts'
import { Lab } from './lab/lab.ts'

/** No multiple of anything, so that nothing happens in the very moment of its end. */
const stopMs = 127_000
const delays = { answerMs: 50, createMs: 300, attachMs: 1_000, detachMs: 1_000, deviceMs: 1_200, stopMs }
/** Fifteen interfaces. */
const instance = { instanceId: 'i-large', instanceType: 'm5.24xlarge', subnetId: 'subnet-a1' }
const world = { ...attacherWorld, instances: [instance, ...attacherWorld.instances] }
const names = Array.from({ length: 10 }, (_, i) => `upf-${i}`)

class EndingInstance extends Lab {
  constructor() {
    super({ ec2: { world, delays } })
    for (const name of ['large', 'a1']) this.scene.addNode(name)
    this.scene.addNodeENI('upf', { dpdkResourceName: resource })
  }

  /** Ten pods, which hold an ENI each, for so long that EC2 must show all of it. */
  async start(): Promise<void> {
    this.startAttacher()
    for (const name of names)
      this.scene.addIntent(name, this.scene.addUnboundPod(name), { nodeName: 'large', instanceID: 'i-large' })
    await this.clock.until(
      () => this.scene.attachments().filter(({ status }) => status?.device?.inUseBy).length === 10,
      minuteMs,
    )
    await this.clock.advance(5 * minuteMs)
    this.ec2.calls.clear()
  }

  eniOf(name: string): string {
    return this.scene.attachment(name).status?.eni?.eniID ?? assert.fail(name)
  }

  /** As the node controller does some time later. */
  nodeGoes(): void {
    this.scene.api.store('nodes').delete('large')
    for (const name of names) this.scene.endPod({ namespace: 'cnf', name, uid: '' })
  }

  /** The ENIs that EC2 was asked to delete, whether it did or not. */
  get deletes(): string[] {
    return this.ec2.calls.of('DeleteNetworkInterface').map(({ parameters }) => parameters['NetworkInterfaceId'] ?? '')
  }

  async untilNothingIsLeft(): Promise<void> {
    await this.clock.until(() => this.scene.attachments().length === 0, 10 * minuteMs)
    assert.deepEqual(ours(this.scene), [])
    assert.equal(this.ec2.calls.count('DetachNetworkInterface'), 0)
    const describes = [...this.ec2.calls].filter(({ action }) => action.startsWith('Describe')).length
    assert.ok(describes <= 30, `${describes} describes for ${names.length} ENIs`)
    const told = this.api
      .store('events')
      .list()
      .filter(({ type }) => type === 'Warning')
    assert.deepEqual(
      told.map(({ reason }) => reason),
      [],
      'nobody is blamed for what EC2 does',
    )
    this.checkEnd()
    assert.deepEqual([...this.violations], [])
  }
}

test('its pods and its node object go later than it', async () => {
  const lab = new EndingInstance()
  await lab.start()
  lab.scene.terminateInstance('i-large')
  await lab.clock.advance(minuteMs)
  lab.nodeGoes()
  await lab.untilNothingIsLeft()
  assert.deepEqual(lab.deletes, [])
})

test('its node object goes first', async () => {
  const lab = new EndingInstance()
  await lab.start()
  lab.nodeGoes()
  lab.scene.terminateInstance('i-large')
  await lab.untilNothingIsLeft()
  assert.deepEqual(lab.deletes, [])
})

test('ENIs whose DeleteOnTermination somebody has turned off are deleted afterwards, once', async () => {
  const lab = new EndingInstance()
  await lab.start()
  const left = ['upf-3', 'upf-7'].map((name) => lab.eniOf(name))
  lab.stopAttacher()
  for (const eniID of left) {
    const { attachment = assert.fail(eniID) } = lab.ec2.state.eni(eniID)
    attachment.deleteOnTermination = false
  }
  lab.scene.terminateInstance('i-large')
  lab.startAttacher()
  await lab.clock.advance(minuteMs)
  lab.nodeGoes()
  await lab.clock.advance(minuteMs - 1)
  assert.deepEqual(lab.deletes, [], 'the instance has not ended yet')
  await lab.untilNothingIsLeft()
  assert.deepEqual(lab.deletes.toSorted(), left.toSorted())
})

test('a NodeENI that leaves all of them', async () => {
  const lab = new EndingInstance()
  lab.scene.changeNodeENI('upf', { deleteOnTermination: false })
  await lab.start()
  const left = names.map((name) => lab.eniOf(name))
  lab.scene.terminateInstance('i-large')
  lab.nodeGoes()
  await lab.untilNothingIsLeft()
  assert.deepEqual(lab.deletes.toSorted(), left.toSorted())
})

test('its device plugin has let go of the cards before it ends', async () => {
  const lab = new EndingInstance()
  await lab.start()
  lab.stopAttacher()
  const [left = ''] = names.map((name) => lab.eniOf(name))
  const { attachment = assert.fail(left) } = lab.ec2.state.eni(left)
  attachment.deleteOnTermination = false
  for (const name of names) {
    lab.scene.endPod({ namespace: 'cnf', name, uid: '' })
    lab.scene.setClaim(name, undefined)
    lab.api.store('eniattachments').delete(name)
  }
  await lab.clock.until(
    () => lab.scene.attachments().every(({ metadata }) => metadata.finalizers?.length === 1),
    minuteMs,
  )
  lab.scene.terminateInstance('i-large')
  lab.startAttacher()
  await lab.clock.advance(stopMs - 1)
  assert.deepEqual(lab.deletes, [], 'the instance has not ended yet')
  lab.api.store('nodes').delete('large')
  await lab.untilNothingIsLeft()
  assert.deepEqual(lab.deletes, [left])
})
