// EC2 refuses what an edit of a NodeENI wants of its ENIs: all else is changed, few calls are made of it, the condition UpToDate says
// what is refused and of how many, and once EC2 takes it all is as it should be.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { ChangeRefusals, type NotDone } from '../../src/attacher/change-refusals.ts'
import { Ec2Error } from '../../src/attacher/ec2-error.ts'

import { AccountInUse, hourMs, minuteMs } from './lab/account-in-use.ts'
import { ours } from './lab/invariants.ts'
import { nodeENIOf } from './objects.ts'

const edit = { securityGroupIDs: ['sg-second'], sourceDestCheck: false, tags: { owner: 'upf' } }
const modify = 'ModifyNetworkInterfaceAttribute'

test('a right to tag that is missing keeps nothing else from being changed', async () => {
  const lab = new AccountInUse()
  await lab.start()
  const kind = { code: 'UnauthorizedOperation', status: 403, message: 'not authorized to perform: ec2:CreateTags' }
  const give = lab.ec2.faults.add({ action: 'CreateTags', when: 'before', times: Infinity, kind })
  const beganAtMs = lab.clock.now()
  lab.scene.changeNodeENI('upf', edit)
  await lab.clock.advance(minuteMs / 2)
  for (const eni of ours(lab.scene))
    assert.deepEqual([eni.groupIds, eni.sourceDestCheck, eni.tags.has('owner')], [['sg-second'], false, false])
  const { status, reason, message } = lab.condition('UpToDate') ?? assert.fail()
  assert.deepEqual([status, reason], ['False', 'ChangeRefused'])
  assert.match(message, /^tags of 3 of 3 ENIs cannot be changed: EC2 CreateTags: UnauthorizedOperation: not authorized/)
  assert.equal(lab.condition('EC2Available')?.status, 'True', 'EC2 answers')
  await lab.clock.advance(beganAtMs + hourMs / 3 - lab.clock.now())
  assert.ok(lab.callsSince(beganAtMs, 'CreateTags').length <= 7)
  lab.assertHeldUntouched()
  const { lastTransitionTime } = lab.condition('UpToDate') ?? {}
  // Of many ENIs the survey takes longer than the look at the instances.
  lab.ec2.faults.add({ action: 'DescribeNetworkInterfaces', when: 'after', kind: 'slow', ms: 5_000 })
  lab.ec2.faults.add({
    action: 'DescribeNetworkInterfaces',
    when: 'before',
    kind: { code: 'InternalError', status: 500 },
  })
  lab.startAttacher()
  await lab.clock.advance(2 * minuteMs)
  assert.equal(lab.condition('UpToDate')?.lastTransitionTime, lastTransitionTime, 'a restart changes nothing')
  give()
  await lab.assertAllWell(6 * minuteMs)
  for (const { tags } of ours(lab.scene)) assert.equal(tags.get('owner'), 'upf')
})

test('security groups that are refused keep no tags from being given, and another edit is tried at once', async () => {
  const lab = new AccountInUse()
  await lab.start()
  const kind = { code: 'InvalidGroup.NotFound', message: 'The security group does not exist' }
  lab.ec2.faults.add({ action: modify, when: 'before', times: Infinity, kind })
  lab.scene.changeNodeENI('upf', { securityGroupIDs: ['sg-second'], tags: { owner: 'upf' } })
  await lab.clock.advance(minuteMs * 10)
  for (const { tags } of ours(lab.scene)) assert.equal(tags.get('owner'), 'upf')
  assert.match(lab.condition('UpToDate')?.message ?? '', /securityGroups of 3 of 3 ENIs .*InvalidGroup.NotFound/)
  lab.ec2.faults.clear()
  lab.scene.changeNodeENI('upf', edit)
  await lab.clock.advance(5_000)
  for (const { groupIds } of ours(lab.scene)) assert.deepEqual(groupIds, ['sg-second'])
  await lab.assertAllWell(minuteMs)
})

test('once EC2 is edited back by hand nothing is refused any more', async () => {
  const lab = new AccountInUse()
  await lab.start()
  lab.ec2.faults.add({ action: modify, when: 'before', times: Infinity, kind: { code: 'OperationNotPermitted' } })
  lab.scene.changeNodeENI('upf', { sourceDestCheck: false })
  await lab.until(() => lab.condition('UpToDate')?.reason === 'ChangeRefused')
  for (const eni of ours(lab.scene)) eni.sourceDestCheck = false
  await lab.until(() => lab.condition('UpToDate')?.status === 'True')
})

const { signal } = new AbortController()

/** Many ENIs whose change EC2 refuses or takes, and how often it is asked. */
class Many {
  readonly clock = new VirtualClock()
  readonly refusals = new ChangeRefusals(
    this.clock,
    () => undefined,
    () => 0,
  )
  readonly nodeENI = nodeENIOf('upf')
  calls = 0
  isRefused = (_name: string) => true

  try(name: string): Promise<NotDone | undefined> {
    return this.refusals.try(this.nodeENI, name, 'tags', signal, async () => {
      this.calls++
      await Promise.resolve()
      if (this.isRefused(name)) throw new Ec2Error('CreateTags', 'Configuration', 'TagLimitExceeded', name, undefined)
    })
  }

  /** As the work queue does, of each: again when that is due. */
  keep(name: string): void {
    void this.try(name).then((notDone) => {
      if (notDone !== undefined) this.clock.after(notDone.againMs, () => this.keep(name))
    })
  }

  start(count: number): void {
    for (let i = 0; i < count; i++) this.keep(`eni-${i}`)
  }
}

test('of a thousand ENIs one asks at a time, and ever more rarely', async () => {
  const many = new Many()
  many.start(1_000)
  await many.clock.advance(hourMs)
  assert.ok(many.calls <= 15, String(many.calls))
  assert.equal(many.refusals.of(many.nodeENI)?.[0]?.behind.size, 1_000)
  many.isRefused = () => false
  await many.clock.advance(5 * minuteMs)
  assert.deepEqual(many.refusals.of(many.nodeENI), [])
})

test('one ENI for which EC2 refuses what it takes for others keeps these waiting for a minute only', async () => {
  const many = new Many()
  many.isRefused = (name) => name === 'eni-0'
  many.start(100)
  await many.clock.advance(2 * minuteMs)
  assert.deepEqual([...(many.refusals.of(many.nodeENI)?.[0]?.behind ?? [])], ['eni-0'])
})

test('an ENI that has gone is not behind any more', async () => {
  const many = new Many()
  many.start(2)
  await many.clock.advance(2 * minuteMs)
  many.refusals.forgetAttachment('eni-0')
  assert.deepEqual([...(many.refusals.of(many.nodeENI)?.[0]?.behind ?? [])], ['eni-1'])
  many.refusals.forgetAttachment('eni-1')
  assert.deepEqual(many.refusals.of(many.nodeENI), [])
})

test('what one generation was refused says nothing of the next', async () => {
  const many = new Many()
  await many.clock.advance(minuteMs)
  await many.try('eni-0')
  const edited = nodeENIOf('upf', {}, 0, 2)
  assert.deepEqual(many.refusals.of(edited), [])
  assert.equal(await many.refusals.try(edited, 'eni-0', 'tags', signal, async () => undefined), undefined)
})

test('thousands of ENIs whose change is not even asked for fail without holding up all else', async () => {
  const many = new Many()
  const notAsked = () =>
    Promise.reject(new Ec2Error('CreateTags', 'Credentials', 'AuthFailure', 'not asked', undefined))
  const tries = Array.from({ length: 2_000 }, (_, i) =>
    many.refusals.try(many.nodeENI, `eni-${i}`, 'tags', signal, notAsked),
  )
  const outcomes = await Promise.allSettled(tries)
  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
  assert.deepEqual(many.refusals.of(many.nodeENI)?.length ?? 0, 0)
})
