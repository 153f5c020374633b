// Faults that were put into the attacher, and into the extender's ledger (ledger-mutants.ts), on purpose, each with the tests that must
// catch it. `find` stands exactly once in `file`.

import { ledgerMutants } from './ledger-mutants.ts'

export interface Mutant {
  readonly fault: string
  readonly file: string
  readonly find: string
  readonly replace: string
  /** Arguments of `node`. Most are caught by more than these. */
  readonly caughtBy: readonly string[]
}

const test = (...names: string[]) => [
  '--test',
  '--test-timeout=60000',
  ...names.map((name) => `test/attacher/${name}.test.ts`),
]
/** One story of the crash exploration, whole. */
const story = (slug: string) => ['test/attacher/crash/explore.ts', slug]

const attach = 'src/attacher/eni-attach.ts'
const create = 'src/attacher/eni-create.ts'
const release = 'src/attacher/eni-release.ts'
const controller = 'src/attacher/attachment-controller.ts'
const lease = 'src/kube/leader-lease.ts'

export const mutants: readonly Mutant[] = [
  ...ledgerMutants,
  {
    fault: 'the client token is random',
    file: create,
    find: "createHash('sha256').update(`${this.#parts.clusterName}\\0${metadata.uid}\\0${attempt}`).digest('hex')",
    replace: "createHash('sha256').update(`${Math.random()}${metadata.uid}${attempt}`).digest('hex')",
    caughtBy: story('one-pod'),
  },
  {
    fault: 'an attach that EC2 refuses is not looked for before it is tried again',
    file: attach,
    find: 'if (now.attachment !== undefined) return this.#adoptAttachment({ attachment, eni: now })',
    replace: '',
    caughtBy: test('lost-answers'),
  },
  {
    fault: 'an ENI is made before its plan is written',
    file: create,
    find: 'return store.writeEni(intent, { attempt, ...place, plannedTime })',
    replace: 'return { ...intent, status: { ...intent.status, eni: { attempt, ...place, plannedTime } } }',
    caughtBy: story('ends-when-made'),
  },
  {
    fault: 'DeleteOnTermination is not set',
    file: attach,
    find: 'if (seen.attachment.deleteOnTermination !== spec.deleteOnTermination) {',
    replace: 'if (seen.attachment.deleteOnTermination === undefined) {',
    caughtBy: test('just-in-time'),
  },
  {
    fault: 'sourceDestCheck is set after the attach, if ever',
    file: attach,
    find: 'if (made.eni.sourceDestCheck !== nodeENI.spec.sourceDestCheck)',
    replace: 'if (made.eni.sourceDestCheck === undefined)',
    caughtBy: test('just-in-time'),
  },
  {
    fault: 'an exhausted subnet is chosen again',
    file: create,
    find: "if (isEc2(error, 'SubnetExhausted')) networks.markExhausted(eni.subnetID ?? '')",
    replace: '',
    caughtBy: test('no-room'),
  },
  {
    fault: 'ENIs are made without our tags',
    file: create,
    find: 'tags: eniTags(planned, nodeENI, this.#parts.clusterName)',
    replace: 'tags: new Map()',
    caughtBy: story('one-pod'),
  },
  {
    fault: 'ENIs are tagged only after they were made',
    file: create,
    find: `        tags: eniTags(planned, nodeENI, this.#parts.clusterName),
        secondaryPrivateIPv4AddressCount: nodeENI.spec.secondaryPrivateIPv4AddressCount,
        ipv6AddressCount: nodeENI.spec.ipv6AddressCount,
      })`,
    replace: `        tags: new Map(),
        secondaryPrivateIPv4AddressCount: nodeENI.spec.secondaryPrivateIPv4AddressCount,
        ipv6AddressCount: nodeENI.spec.ipv6AddressCount,
      })
      await this.#parts.ec2('pods', signal).createTags(created.id, eniTags(planned, nodeENI, this.#parts.clusterName))`,
    caughtBy: story('one-pod'),
  },
  {
    fault: 'a used-up client token is given up without looking for the ENI that it made',
    file: create,
    find: "if (isEc2(error, 'TokenMismatch')) return this.#adopt(planned, network, signal)",
    replace: "if (isEc2(error, 'TokenMismatch')) await this.#forgetPlan(planned)",
    caughtBy: test('lost-answers'),
  },
  {
    fault: 'the ENI of a create whose answer was lost is not looked for when its repeat is refused',
    file: create,
    find: 'await this.#forgetPlan(planned, eni.plannedTime)',
    replace: 'await this.#forgetPlan(planned)',
    caughtBy: test('lost-creates'),
  },
  {
    fault: 'a client token that EC2 has forgotten is used again',
    file: create,
    find: "if (clock.now() - Date.parse(eni.plannedTime ?? '') > tokenGoodMs) return this.#adopt(planned, network, signal)",
    replace: '',
    caughtBy: test('storms'),
  },
  {
    fault: 'an instance that takes no ENI is tried again at once',
    file: controller,
    find: 'if (done.isOfInstance === true) refusals.addOfEC2(attachment, nodeENI, done.reason)',
    replace: '',
    caughtBy: test('storms'),
  },
  {
    fault: 'the slots of a network card are not counted',
    file: 'src/attacher/eni-plan.ts',
    find: 'const slot = chooseSlot(cardsFor(question), taken, deviceIndex)',
    replace: 'const slot = chooseSlot(type.cards.map((card) => ({ ...card, maxInterfaces: 15 })), taken, deviceIndex)',
    caughtBy: test('eni-plan'),
  },
  {
    fault: 'maxPerNode is ignored',
    file: 'src/attacher/eni-plan.ts',
    find: 'if (maxPerNode !== undefined && ofNodeENI.length >= maxPerNode)',
    replace: 'if (maxPerNode !== undefined && ofNodeENI.length > maxPerNode)',
    caughtBy: test('eni-plan'),
  },
  {
    fault: 'the budget shared with volumes is ignored',
    file: 'src/attacher/eni-plan.ts',
    find: 'if (attachmentsLeft < 0)',
    replace: 'if (attachmentsLeft < -100)',
    caughtBy: test('eni-plan'),
  },
  {
    fault: 'slots that are planned and that EC2 does not show yet are given twice',
    file: 'src/attacher/eni-plan.ts',
    find: '[primarySlot, ...interfaces, ...planned]',
    replace: '[primarySlot, ...interfaces]',
    caughtBy: test('eni-plan'),
  },
  {
    fault: 'a primary interface that EC2 does not show yet is not counted',
    file: 'src/attacher/eni-plan.ts',
    find: '[primarySlot, ...interfaces, ...planned]',
    replace: '[...interfaces, ...planned]',
    caughtBy: story('last-attachment'),
  },
  {
    fault: 'every detach is forced',
    file: release,
    find: 'await isKnown(ec2.detachEni(on.id, force))',
    replace: 'await isKnown(ec2.detachEni(on.id, true))',
    caughtBy: test('force-detach'),
  },
  {
    fault: 'an ENI that somebody has moved is detached',
    file: release,
    find: 'if (on.instanceID !== undefined && on.instanceID !== spec.instanceID)',
    replace: 'if (on.instanceID === undefined)',
    caughtBy: test('by-hand'),
  },
  {
    fault: 'the object goes although its ENI may show only later',
    file: release,
    find: 'if (seen.length === 0 && attachment.status?.eni?.plannedTime !== undefined && !isGone)',
    replace: 'if (seen.length > 100 && !isGone)',
    caughtBy: story('ends-when-made'),
  },
  {
    fault: 'a delete of what EC2 does not know yet counts as done',
    file: release,
    find: 'if (!(await isKnown(this.#delete(found, signal)))) return lookAgainMs',
    replace: 'await isKnown(this.#delete(found, signal))',
    caughtBy: test('malformed-answers'),
  },
  {
    fault: 'a card is taken without its device plugin having let go of it',
    file: 'src/attacher/attachment-release.ts',
    find: 'if (!(await this.#mayTakeCard(attachment))) {',
    replace: 'if (attachment.metadata.name === undefined) {',
    caughtBy: test('just-in-time', 'gone-node'),
  },
  {
    fault: 'a failed try is never given up',
    file: controller,
    find: 'await report.write(current, { reason, message, terminal: true })',
    replace: 'await report.write(current, { reason, message, terminal: false })',
    caughtBy: test('refusals'),
  },
  {
    fault: 'one answer without a thing is taken for its end',
    file: 'src/attacher/absences.ts',
    find: 'return since !== undefined && now - since >= consistencyMs',
    replace: 'return true',
    caughtBy: test('malformed-answers'),
  },
  {
    fault: 'a deleted ENI is not replaced',
    file: 'src/attacher/eni-upkeep.ts',
    find: "eni === undefined ? (isGone ? 'gone' : 'missing')",
    replace: "eni === undefined ? (isGone ? 'kept' : 'missing')",
    caughtBy: test('by-hand'),
  },
  {
    fault: 'the collection deletes in one pass',
    file: 'src/attacher/garbage-collector.ts',
    find: 'const again = [...this.#suspects].flatMap((id) => byID.get(id) ?? [])',
    replace: 'const again = [...byID.values()]',
    caughtBy: test('garbage-collector'),
  },
  {
    fault: 'the collection deletes what an object names',
    file: 'src/attacher/garbage-collector.ts',
    find: "tagged.filter((eni) => !named.has(eni.id) && !mayBeOf.has(eni.tags.get(attachmentTag) ?? ''))",
    replace: 'tagged.filter((eni) => named.size + mayBeOf.size >= 0 && eni.tags.has(attachmentTag))',
    caughtBy: test('garbage-collector'),
  },
  {
    fault: 'the collection deletes while an ENIAttachment cannot be read',
    file: 'src/attacher/garbage-collector.ts',
    find: 'if (unreadable.length > 0) {',
    replace: 'if (unreadable.length > garbage.length) {',
    caughtBy: test('garbage-collector', 'unreadable'),
  },
  {
    fault: 'the ENIs of a NodeENI that cannot be read are released',
    file: controller,
    find: 'const isLeft = isLeftAlone(nodeENIs, attachment.spec.nodeENI) && terminalFailure(attachment) === undefined',
    replace: 'const isLeft = nodeENI !== undefined && terminalFailure(attachment) === undefined',
    caughtBy: test('unreadable'),
  },
  {
    fault: 'every ENI asks for a change that EC2 has refused for another',
    file: 'src/attacher/change-refusals.ts',
    find: 'while (!attempts.isTaken && attempts.asking !== undefined) {',
    replace: 'while (attempts.isTaken && attempts.asking !== undefined) {',
    caughtBy: test('refused-changes'),
  },
  {
    fault: 'the collection looks at the ENIs of other clusters',
    file: 'src/attacher/eni-survey.ts',
    find: 'await ec2.describeEnisByTag(clusterTag, [clusterName])',
    replace: "await ec2.describeEnisByTag(clusterTag, [clusterName === '' ? '' : '*'])",
    caughtBy: test('by-hand'),
  },
  {
    fault: 'an idle ENI is released although a pod has just claimed it',
    file: 'src/kube/attachments.ts',
    find: 'const body = { preconditions: { uid: metadata.uid, resourceVersion: metadata.resourceVersion } }',
    replace: 'const body = { preconditions: { uid: metadata.uid } }',
    caughtBy: test('release-race'),
  },
  {
    fault: 'a leader that is cut off goes on when another may lead',
    file: lease,
    find: 'const deadlineMs = (durationMs * 2) / 3',
    replace: 'const deadlineMs = durationMs * 2',
    caughtBy: story('cut-off'),
  },
  {
    fault: 'the work of a leader that has lost its lease is not stopped',
    file: lease,
    find: `        term.abort()
        throw error`,
    replace: '        throw error',
    caughtBy: story('cut-off'),
  },
  {
    fault: 'no call waits for its turn',
    file: 'src/attacher/ec2-limiter.ts',
    find: 'await this.#turn(this.#lane(action), urgency, signal)',
    replace: 'if (urgency === undefined) await this.#turn(this.#lane(action), urgency, signal)',
    caughtBy: test('ec2-limiter'),
  },
  {
    fault: 'no share of the buckets is left to others',
    file: 'src/attacher/ec2-limiter.ts',
    find: 'perSecond: quota.perSecond * share }',
    replace: 'perSecond: quota.perSecond }',
    caughtBy: test('ec2-limiter'),
  },
  {
    fault: 'who asks first is served first, whoever waits',
    file: 'src/attacher/ec2-limiter.ts',
    find: "export const urgencies = ['pods', 'ahead', 'release', 'upkeep', 'collection'] as const",
    replace: "export const urgencies = ['collection', 'upkeep', 'release', 'ahead', 'pods'] as const",
    caughtBy: test('ec2-limiter'),
  },
  {
    fault: 'a call that waits is made after the lead is lost',
    file: 'src/attacher/ec2-limiter.ts',
    find: 'const abort = () => lane.waiting[urgency].delete(waiter) && reject(signal.reason)',
    replace: 'const abort = () => signal.aborted || reject(signal.reason)',
    caughtBy: test('ec2-limiter'),
  },
  {
    fault: 'a refused call does not slow us down',
    file: 'src/attacher/ec2-limiter.ts',
    find: 'lane.rateThen = Math.max(this.#rate(lane) / 2, leastRate)',
    replace: 'lane.rateThen = 1',
    caughtBy: test('ec2-limiter'),
  },
  {
    fault: 'an ENI is made for a pod that has gone while the call waited',
    file: controller,
    find: 'if (isAnother || needOf(after) !== needOf(before)) this.#serving.get(name)?.abort()',
    replace: '',
    caughtBy: test('change-of-need'),
  },
  {
    fault: 'the next device index is not stored before it is tried',
    file: attach,
    find: 'if (slot !== undefined) return store.writeEni(created, { ...eniStatusOf(created), ...slot })',
    replace: 'if (slot !== undefined) return { ...created, status: { eni: { ...eniStatusOf(created), ...slot } } }',
    caughtBy: test('index-conflict'),
  },
  {
    fault: 'the ENIs of an instance that is ending are detached',
    file: release,
    find: 'if (!isForced && (await this.#isLeftToEc2(attachment, found.attachment))) return endingMs',
    replace: '',
    caughtBy: test('slow-ending'),
  },
  {
    fault: 'an instance that is stopped is described as often as one that is ending',
    file: 'src/attacher/instance-life.ts',
    find: "lasting.has(last?.state ?? '') ? lastingMs : lookMs",
    replace: "lasting.has(last?.state ?? '') ? lookMs : lookMs",
    caughtBy: test('describes-at-rest'),
  },
  {
    fault: 'each ENI that waits asks by itself while EC2 refuses the credentials',
    file: 'src/attacher/ec2-gate.ts',
    find: 'if (reason !== undefined) throw reason.ofCallNotMade(action)',
    replace: 'void reason',
    caughtBy: test('ec2-gate'),
  },
  {
    fault: 'who backs off does not hear that EC2 answers again',
    file: 'src/attacher/controllers.ts',
    find: 'for (const { metadata } of store.all()) attachmentQueue.add(metadata.name)\n      requeueNodeENIs()\n      sweep.retry()\n      survey.retry()',
    replace: 'requeueNodeENIs()\n      sweep.retry()',
    caughtBy: test('storms'),
  },
]
