// What people do to ENIs and NodeENIs while pods run: put right where that takes nothing away, and else told.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { attachNetworkInterface } from '../../sim/ec2/state/attach-network-interface.ts'
import { createNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'
import type { NetworkInterface } from '../../sim/ec2/state/network-interface.ts'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { NodeENI, NodeENISpec } from '../../src/api/node-eni.ts'
import { attachmentTag, clusterTag, noManageTag } from '../../src/api/names.ts'

import { resource } from './attacher-world.ts'
import { Lab } from './lab/lab.ts'
import { ours } from './lab/invariants.ts'

/** Two surveys, and what follows from them. */
const soonMs = 10 * 60_000

class ByHand extends Lab {
  async until(isSo: () => boolean): Promise<void> {
    await this.clock.until(isSo, soonMs)
  }

  /** One attached ENI of a NodeENI `n6`, long ago. */
  static async withEager(spec: Partial<NodeENISpec> = {}): Promise<ByHand> {
    const lab = new ByHand()
    lab.scene.addNode('a1')
    lab.scene.addNodeENI('n6', { nodeSelector: { node: 'a1' }, ...spec })
    lab.startAttacher()
    await lab.until(() => lab.scene.attachments()[0]?.status?.device?.advertised === true)
    await lab.clock.advance(soonMs)
    return lab
  }

  /** An ENI that a pod holds. */
  static async withPod(): Promise<ByHand> {
    const lab = new ByHand()
    lab.startAttacher()
    lab.addPod()
    await lab.until(() => lab.scene.attachment('upf-1').status?.device?.inUseBy !== undefined)
    await lab.clock.advance(soonMs)
    return lab
  }

  addPod(): void {
    this.scene.addNode('a1')
    this.scene.addNodeENI('upf', { dpdkResourceName: resource })
    this.scene.addIntent('upf-1', this.scene.addUnboundPod('upf-0'))
  }

  get eni(): NetworkInterface {
    const [eni, ...more] = ours(this.scene)
    assert.deepEqual(more, [])
    return eni ?? assert.fail('there is no ENI of ours')
  }

  get changes(): string[] {
    return [...this.ec2.calls].map(({ action }) => action).filter((action) => !action.startsWith('Describe'))
  }

  condition(type: string) {
    const [nodeENI] = this.api.store('nodeenis').list() as unknown as NodeENI[]
    return nodeENI?.status?.conditions?.find((one) => one.type === type)
  }

  events(reason: string): string[] {
    return this.api
      .store('events')
      .list()
      .flatMap((event) => (event['reason'] === reason ? [String(event['message'])] : []))
  }

  detach(): void {
    this.ec2.detachByHand(this.eni.eniId)
  }
}

const ageKey = ({ metadata }: ENIAttachment) => `${metadata.creationTimestamp} ${metadata.name}`

test('an ENI detached by hand is attached again, and the pod and the NodeENI hear of it', async () => {
  const lab = await ByHand.withPod()
  const { eniId } = lab.eni
  lab.detach()
  await lab.until(() => lab.eni.attachment?.status === 'attached')
  assert.equal(lab.eni.eniId, eniId)
  assert.equal(lab.events('ENIDetached').length, 3, 'on the pod, the ENIAttachment and the NodeENI')
  await lab.until(() => lab.eni.attachment?.deleteOnTermination === true)
  assert.equal(lab.scene.attachment('upf-1').status?.eni?.attached, true)
})

test('its steps were timed when it was attached for the first time, and are not again', async () => {
  const lab = await ByHand.withPod()
  const times = async () =>
    (await lab.metrics.stepSeconds.get()).values.flatMap(({ metricName, labels, value }) =>
      metricName?.endsWith('_count') === true && labels.step === 'total' ? [[labels.urgency, value]] : [],
    )
  assert.deepEqual(await times(), [['pods', 1]])
  lab.startAttacher()
  lab.detach()
  await lab.until(() => lab.eni.attachment?.status === 'attached')
  await lab.clock.advance(60_000)
  assert.deepEqual(await times(), [['pods', 1]])
})

test('an ENI that is still being detached by hand is attached again when that is over', async () => {
  const lab = await ByHand.withPod()
  lab.ec2.setDelays({ detachMs: 3 * 60_000 })
  lab.detach()
  await lab.until(() => lab.eni.attachment === undefined)
  await lab.until(() => lab.eni.attachment?.status === 'attached')
  assert.equal(lab.scene.attachment('upf-1').status?.eni?.failure?.terminal, undefined)
})

test('an ENI detached by hand before EC2 calls it attached is attached again when a pod has it already', async () => {
  const lab = new ByHand({ cards: 'in the guest', ec2: { delays: { attachMs: 60_000, deviceMs: 1_000 } } })
  lab.startAttacher()
  lab.addPod()
  await lab.until(() => lab.scene.attachments()[0]?.status?.device?.inUseBy !== undefined)
  lab.detach()
  await lab.until(() => lab.eni.attachment === undefined)
  await lab.until(() => lab.eni.attachment?.status === 'attached')
  assert.equal(lab.scene.attachment('upf-1').status?.eni?.failure?.terminal, undefined)
})

test('an ENI that somebody has attached again is told of as it is attached now', async () => {
  const lab = await ByHand.withEager()
  const { eniId } = lab.eni
  lab.detach()
  attachNetworkInterface(lab.ec2.state, { eniId, instanceId: 'i-a1', networkCard: 0, deviceIndex: 3 })
  const said = () => lab.scene.attachments()[0]?.status?.eni
  await lab.until(() => said()?.deviceIndex === 3 && said()?.attached === true)
  assert.equal(said()?.attachmentID, lab.eni.attachment?.attachmentId)
})

test('an Eager ENI deleted by hand is replaced', async () => {
  const lab = await ByHand.withEager()
  const { eniId } = lab.eni
  lab.detach()
  lab.ec2.state.removeEni(lab.eni)
  await lab.until(() => ours(lab.scene).some((eni) => eni.attachment?.status === 'attached'))
  assert.notEqual(lab.eni.eniId, eniId)
  assert.equal(lab.scene.attachments().length, 1)
  assert.match(
    lab.events('ENILost')[0] ?? '',
    /was deleted by somebody else; a pod that had it needs to be deleted, and gets another/,
  )
})

test('an ENI deleted by hand under a pod fails, and goes when the pod has ended', async () => {
  const lab = await ByHand.withPod()
  lab.detach()
  lab.ec2.state.removeEni(lab.eni)
  await lab.until(() => lab.scene.attachment('upf-1').status?.eni?.failure?.reason === 'ENILost')
  assert.equal(lab.scene.attachment('upf-1').metadata.deletionTimestamp, undefined)
  lab.scene.endPod({ namespace: 'cnf', name: 'upf-0', uid: '' })
  await lab.until(() => lab.scene.attachments().length === 0)
})

test('an ENI deleted by hand while it is to be attached again under its pod fails too', async () => {
  const lab = await ByHand.withPod()
  lab.ec2.setDelays({ detachMs: 3 * 60_000 })
  lab.detach()
  await lab.until(() => lab.scene.attachment('upf-1').status?.eni?.attached === undefined)
  lab.ec2.state.removeEni(lab.eni)
  await lab.until(() => lab.scene.attachment('upf-1').status?.eni?.failure?.reason === 'ENILost')
  assert.deepEqual(ours(lab.scene), [])
})

test('an ENI moved to another instance is left alone there, and said so until it is detached', async () => {
  const lab = await ByHand.withEager()
  const { eniId } = lab.eni
  lab.detach()
  attachNetworkInterface(lab.ec2.state, { eniId, instanceId: 'i-a2', networkCard: 0, deviceIndex: 1 })
  await lab.until(() => lab.events('ENIMoved').length > 0)
  const before = lab.changes.length
  await lab.clock.advance(soonMs)
  const onOther = () => lab.ec2.state.eni(eniId).attachment?.instanceId === 'i-a2'
  assert.ok(onOther())
  assert.deepEqual(
    lab.changes.slice(before).filter((action) => action.startsWith('De')),
    [],
  )
  const moved = lab.scene.attachments().find(({ status }) => status?.eni?.eniID === eniId)
  assert.match(moved?.status?.eni?.failure?.message ?? '', /is on instance i-a2, where somebody else has put it/)
  lab.ec2.detachByHand(eniId)
  await lab.until(() => lab.ec2.state.findEni(eniId) === undefined)
})

test('what is changed on the ENI by hand is changed back', async () => {
  const lab = await ByHand.withEager({ sourceDestCheck: false, tags: { owner: 'upf' } })
  const { attachment, tags } = lab.eni
  assert.ok(attachment)
  attachment.deleteOnTermination = false
  lab.eni.sourceDestCheck = true
  lab.eni.description = 'jit-eni, by hand'
  tags.set('owner', 'somebody')
  tags.delete('Name')
  tags.set('cost-centre', '42')
  const isBack = () =>
    attachment.deleteOnTermination &&
    !lab.eni.sourceDestCheck &&
    lab.eni.description.startsWith('jit-eni n6-') &&
    tags.get('owner') === 'upf' &&
    tags.get('Name') === 'n6/a1'
  await lab.until(isBack)
  assert.equal(tags.get('cost-centre'), '42', 'a tag of others stays')
  const before = lab.changes.length
  await lab.clock.advance(soonMs)
  assert.equal(lab.changes.length, before, 'and that is all')
})

test('an ENI whose cluster tag is taken away is known by its id, and gets its tags back', async () => {
  const lab = await ByHand.withEager()
  lab.eni.tags.delete(clusterTag)
  lab.eni.tags.delete(attachmentTag)
  await lab.until(() => lab.eni.tags.get(clusterTag) === 'test-cluster' && lab.eni.tags.has(attachmentTag))
  assert.equal(lab.scene.attachments().length, 1)
})

test('an edit of the NodeENI reaches the ENIs that exist, without waiting for a survey', async () => {
  const lab = await ByHand.withEager()
  const { clock, scene } = lab
  scene.changeNodeENI('n6', {
    deleteOnTermination: false,
    sourceDestCheck: false,
    description: 'jit-eni edited',
    securityGroupIDs: ['sg-second'],
    tags: { owner: 'upf' },
  })
  await clock.advance(5_000)
  const { eni } = lab
  assert.equal(eni.attachment?.deleteOnTermination, false)
  assert.equal(eni.sourceDestCheck, false)
  assert.equal(eni.description, 'jit-eni edited')
  assert.deepEqual(eni.groupIds, ['sg-second'])
  assert.equal(eni.tags.get('owner'), 'upf')
  assert.equal(lab.condition('UpToDate')?.status, 'True')
})

test('an edit that only another ENI can follow stands in a condition, with the objects to delete', async () => {
  const lab = await ByHand.withEager()
  const [{ metadata } = assert.fail()] = lab.scene.attachments()
  lab.scene.changeNodeENI('n6', { secondaryPrivateIPv4AddressCount: 2 })
  await lab.until(() => lab.condition('UpToDate')?.status === 'False')
  const { reason, message } = lab.condition('UpToDate') ?? assert.fail()
  assert.equal(reason, 'ReplacementNeeded')
  assert.match(message, /1 of 1 ENIs were made with another secondaryPrivateIPv4AddressCount/)
  assert.ok(message.includes(metadata.name))
  lab.api.store('eniattachments').delete(metadata.name)
  await lab.until(() => ours(lab.scene)[0]?.privateIpAddresses.length === 3)
  await lab.until(() => lab.condition('UpToDate')?.status === 'True')
})

test('an Eager ENI at an index that its NodeENI no longer begins with is to be replaced; the next free one will do', async () => {
  const lab = await ByHand.withEager({ subnetIDs: ['subnet-a1', 'subnet-a2'] })
  await lab.until(() => lab.scene.attachments().filter(({ status }) => status?.eni?.attached).length === 2)
  await lab.clock.advance(soonMs)
  assert.equal(lab.condition('UpToDate')?.status, 'True', 'the second one is at the next index')
  lab.scene.changeNodeENI('n6', { deviceIndex: 3 })
  await lab.until(() => lab.condition('UpToDate')?.status === 'False')
  assert.match(lab.condition('UpToDate')?.message ?? '', /2 of 2 ENIs were made with another deviceIndex/)
  for (const { metadata } of lab.scene.attachments()) lab.api.store('eniattachments').delete(metadata.name)
  const live = () => lab.scene.attachments().filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  const attached = () => live().filter(({ status }) => status?.eni?.attached === true)
  await lab.until(() => attached().length === 2 && ours(lab.scene).length === 2)
  // The card ends at 3: the second one is below it.
  const indexes = ours(lab.scene).map(({ attachment }) => attachment?.deviceIndex ?? 0)
  assert.deepEqual([indexes.length, Math.max(...indexes)], [2, 3])
  await lab.clock.advance(soonMs)
  assert.equal(lab.condition('UpToDate')?.status, 'True')
})

test('a JustInTime ENI is at whichever index was free: another first one makes it no worse', async () => {
  const lab = await ByHand.withPod()
  lab.scene.changeNodeENI('upf', { deviceIndex: 3 })
  await lab.clock.advance(soonMs)
  assert.equal(lab.condition('UpToDate')?.status, 'True')
})

test('maxPerNode lowered: of the Eager ENIs the youngest goes', async () => {
  const lab = await ByHand.withEager({ subnetIDs: ['subnet-a1', 'subnet-a2'] })
  const [oldest, ...others] = lab.scene.attachments().toSorted((a, b) => (ageKey(a) < ageKey(b) ? -1 : 1))
  assert.equal(others.length, 1)
  lab.scene.changeNodeENI('n6', { maxPerNode: 1 })
  await lab.until(() => lab.scene.attachments().length === 1)
  assert.equal(lab.scene.attachments()[0]?.metadata.name, oldest?.metadata.name)
  const before = lab.changes.length
  await lab.clock.advance(soonMs)
  assert.equal(lab.changes.length, before, 'no other is made in its place')
  assert.equal(lab.condition('UpToDate')?.status, 'True')
})

test('maxPerNode lowered: what pods hold stays, is told of, and goes when its pod has ended', async () => {
  const lab = await ByHand.withPod()
  const second = lab.scene.addUnboundPod('upf-1')
  lab.scene.addIntent('upf-2', second)
  await lab.until(() => lab.scene.attachment('upf-2').status?.device?.inUseBy !== undefined)
  lab.scene.changeNodeENI('upf', { maxPerNode: 1 })
  await lab.until(() => lab.condition('UpToDate')?.status === 'False')
  const { reason, message } = lab.condition('UpToDate') ?? assert.fail()
  assert.equal(reason, 'BeyondMaxPerNode')
  assert.match(message, /pods hold more than maxPerNode, 1, ENIs on a1 \(2\)/)
  await lab.clock.advance(soonMs)
  assert.equal(ours(lab.scene).length, 2)
  lab.scene.endPod(second)
  await lab.clock.until(() => ours(lab.scene).length === 1, 60_000)
  await lab.until(() => lab.condition('UpToDate')?.status === 'True')
  assert.notEqual(lab.scene.attachment('upf-1').status?.device?.inUseBy, undefined)
})

test('an ENI of another cluster of jit-eni stays as it is, whatever its tags are beside', async () => {
  const lab = await ByHand.withPod()
  const tags = { [clusterTag]: 'another', [attachmentTag]: 'uid-of-nobody-here', [noManageTag]: 'true' }
  const { eniId } = createNetworkInterface(lab.ec2.state, {
    subnetId: 'subnet-a1',
    tags: new Map(Object.entries(tags)),
  })
  const before = lab.changes.length
  await lab.clock.advance(6 * soonMs)
  assert.equal(lab.changes.length, before)
  assert.deepEqual(Object.fromEntries(lab.ec2.state.eni(eniId).tags), tags)
})

test('an ENI detached under its pod, whose place others have taken meanwhile, is attached again when there is one', async () => {
  const lab = await ByHand.withPod()
  const { eniId } = lab.eni
  lab.detach()
  await lab.until(() => lab.eni.attachment === undefined)
  for (const deviceIndex of [1, 2, 3]) lab.scene.attachForeign('i-a1', deviceIndex)
  await lab.clock.advance(soonMs)
  assert.match(lab.scene.attachment('upf-1').status?.eni?.failure?.message ?? '', /its pod has lost the card/)
  lab.scene.detachForeign(lab.scene.foreign.ids.at(-1) ?? '')
  await lab.until(() => lab.eni.attachment?.status === 'attached')
  assert.equal(lab.eni.eniId, eniId)
})
