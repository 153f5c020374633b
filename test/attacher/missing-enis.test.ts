// The condition Complete: whether the ENIs are there that a NodeENI wants ahead of pods, and which nodes lack some, and why.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { zoneLabel } from '../../src/api/names.ts'
import type { NodeENI, NodeENISpec } from '../../src/api/node-eni.ts'
import type { Condition } from '../../src/api/object-meta.ts'

import { resource } from './attacher-world.ts'
import { Lab } from './lab/lab.ts'

const minuteMs = 60_000
const slow = { delays: { attachMs: 20_000, detachMs: 20_000 } }

/** NodeENI `n6`. */
class Missing extends Lab {
  /** What the condition was, as it came. */
  readonly seen: string[] = []

  constructor() {
    super({ ec2: slow })
    this.api.store('nodeenis').onChange(() => {
      const { status, message } = this.complete ?? {}
      if (status !== undefined && this.seen.at(-1) !== `${status} ${message}`) this.seen.push(`${status} ${message}`)
    })
  }

  start(spec: Partial<NodeENISpec>, ...nodes: readonly string[]): void {
    for (const node of nodes) this.scene.addNode(node)
    this.scene.addNodeENI('n6', spec)
    this.startAttacher()
  }

  get complete(): Condition | undefined {
    const nodeENI = this.api.store('nodeenis').get('n6') as unknown as NodeENI | undefined
    return nodeENI?.status?.conditions?.find(({ type }) => type === 'Complete')
  }

  async is(status: Condition['status']): Promise<Condition> {
    await this.clock.until(() => this.complete?.status === status, 10 * minuteMs)
    return this.complete ?? assert.fail()
  }

  /** `type reason` of all events of the NodeENI. */
  get events(): string[] {
    const ofNodeENI = (event: object) => (event as { involvedObject: { name: string } }).involvedObject.name === 'n6'
    return this.api
      .store('events')
      .list()
      .filter(ofNodeENI)
      .map(({ type, reason }) => `${String(type)} ${String(reason)}`)
  }
}

test('a node without room is named, with what it lacks and why, for as long as it lacks it', async () => {
  const lab = new Missing()
  for (const index of [1, 2]) lab.scene.attachForeign('i-a1', index)
  lab.start({ subnetIDs: ['subnet-a1', 'subnet-a2'] }, 'a1', 'a2')
  const { reason, lastTransitionTime } = await lab.is('False')
  assert.equal(reason, 'MissingENIs')
  await lab.clock.advance(minuteMs)
  const { message = '' } = lab.complete ?? {}
  const before = lab.events
  assert.match(
    message,
    /ahead of pods are missing: a1 lacks 1 \(instance i-a1 \(m5.xlarge\) has no free ENI slot; add nodes, [^)]*\); make/,
  )
  await lab.clock.advance(60 * minuteMs)
  assert.equal(lab.complete?.message, message)
  assert.equal(lab.complete?.lastTransitionTime, lastTransitionTime)
  assert.equal(before.filter((event) => event === 'Warning MissingENIs').length, 1)
  assert.deepEqual(lab.events, before)
  lab.scene.detachForeign(lab.scene.foreign.ids.at(-1) ?? '')
  assert.equal((await lab.is('True')).reason, 'NoneMissing')
})

test('what EC2 refuses on one node again and again is missing there all the time', async () => {
  const lab = new Missing()
  const kind = { code: 'AttachmentLimitExceeded', message: 'Interface count 5 exceeds the limit' }
  lab.ec2.faults.add({ action: 'AttachNetworkInterface', when: 'before', times: Infinity, kind })
  lab.start({}, 'a1')
  const { message, lastTransitionTime } = await lab.is('False')
  assert.match(message, /a1 lacks 1 \(EC2 AttachNetworkInterface: AttachmentLimitExceeded: Interface count 5/)
  await lab.clock.advance(60 * minuteMs)
  assert.equal(lab.complete?.lastTransitionTime, lastTransitionTime)
  assert.deepEqual(lab.seen.slice(-1), [`False ${message}`])
  assert.ok(lab.seen.length <= 2, lab.seen.join('\n'))
  lab.startAttacher()
  await lab.clock.advance(minuteMs / 2)
  assert.equal(lab.complete?.lastTransitionTime, lastTransitionTime, 'a restart changes nothing')
  lab.ec2.faults.clear()
  await lab.is('True')
})

test('an instance that EC2 does not know is named; one that is stopped lacks nothing', async () => {
  const lab = new Missing()
  lab.ec2.stopInstance('i-a2')
  await lab.clock.advance(5 * minuteMs)
  lab.scene.addNode('ghost')
  const labels = { [zoneLabel]: 'eu-north-1a' }
  lab.api.store('nodes').update('ghost', (node) => ({ ...node, metadata: { ...node.metadata, labels } }))
  lab.start({}, 'a1', 'a2')
  assert.match(
    (await lab.is('False')).message,
    /are missing: ghost lacks 1 \(EC2 knows no instance i-ghost\); make room/,
  )
  lab.api.store('nodes').delete('ghost')
  await lab.is('True')
})

test('what is only being made is not missing, at first nor later', async () => {
  const lab = new Missing()
  lab.start({ dpdkResourceName: resource, warm: 1 }, 'a1')
  assert.equal((await lab.is('Unknown')).reason, 'BeingMade')
  await lab.is('True')
  const [warm] = lab.scene.attachments()
  lab.scene.setClaim(warm?.metadata.name ?? '', lab.scene.addPod('upf-0'))
  lab.scene.addNode('a2')
  await lab.clock.advance(5 * minuteMs)
  assert.equal(lab.scene.attachments().length, 3)
  assert.deepEqual(
    lab.seen.map((one) => one.split(' ', 1)[0]),
    ['Unknown', 'True'],
  )
  assert.deepEqual(
    lab.events.filter((event) => /BeingMade|NoneMissing/.test(event)),
    [],
  )
})

test('a NodeENI that wants no ENIs ahead of pods says nothing of them', async () => {
  const lab = new Missing()
  lab.start({ dpdkResourceName: resource, warm: 1 }, 'a1')
  await lab.is('True')
  lab.scene.changeNodeENI('n6', { warm: 0 })
  await lab.clock.advance(minuteMs)
  assert.equal(lab.complete, undefined)
})

test('whatever became known first, the status is not written again while nothing changes', async () => {
  const lab = new Missing()
  lab.start({}, 'a1')
  await lab.is('True')
  const kind = { code: 'UnauthorizedOperation', status: 403 }
  lab.ec2.faults.add({ action: 'CreateNetworkInterface', when: 'before', times: Infinity, kind })
  lab.scene.addNode('a2')
  await lab.is('False')
  lab.ec2.faults.clear()
  await lab.is('True')
  await lab.clock.advance(10 * minuteMs)
  const before = lab.api.requests.length
  await lab.clock.advance(10 * minuteMs)
  const writes = lab.api.requests.slice(before).filter(({ method }) => method !== 'GET')
  assert.deepEqual(writes, [])
})
