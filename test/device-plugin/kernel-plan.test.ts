// The next step for an ENI that stays with the kernel's driver: which facts lead to which step.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import type { HostLink } from '../../src/device-plugin/host-links.ts'
import type { LinkFacts } from '../../src/device-plugin/kernel-plan.ts'
import type { KnownCard } from '../../src/device-plugin/match.ts'
import { nextStep, type Situation } from '../../src/device-plugin/plan.ts'
import { attachmentOf, cardAt, entryFor, linkOf, mac } from './cards.ts'

const bare = cardAt('0000:00:06.0', { interfaces: [{ name: 'ens6', mac }] })
const record = { before: { mtu: 1500, isUp: false }, altName: 'upf' }
const ours = { ...bare, entry: entryFor(bare, 'uid-a', { wantedDriver: 'ena', link: record }) }
const inPod = { ...ours, interfaces: [] }
const good = linkOf({ isUp: true, altNames: ['upf'] })
const setUp = attachmentOf({ device: { interface: 'ens6' } })
const plain = attachmentOf({ spec: { resourceName: undefined } })
const uplink = { used: new Set(['ens6']), uplinks: new Set(['ens6']), addresses: new Set<string>() }
const address = { address: '10.0.1.7', prefixLength: 24, scope: 'global' }

function stepWhen(card: KnownCard, facts: LinkFacts | HostLink, more: Partial<Situation> = {}) {
  return nextStep({
    attachment: attachmentOf(),
    match: { kind: 'found', card },
    wanted: 'kernel',
    driver: 'there',
    expectedAddress: undefined,
    generation: 3,
    host: { used: new Set(), uplinks: new Set(), addresses: new Set() },
    primary: { mac: undefined, addresses: [] },
    isAllowed: true,
    foreignMates: [],
    groupSpokenFor: undefined,
    linkFacts: 'kind' in facts ? facts : { kind: 'seen', link: facts },
    cardAgeMs: 0,
    wantedLink: { mtu: undefined, altName: 'upf' },
    isCorrectionDue: true,
    listed: 'nobody',
    occupancy: 'free',
    isJournaled: card.entry !== undefined,
    resourceProblem: undefined,
    isDescribed: true,
    work: { kind: 'none' },
    ...more,
  })
}

function failure(...when: Parameters<typeof stepWhen>) {
  const step = stepWhen(...when)
  assert.ok(step.kind === 'refuse', `expected a refusal, got ${step.kind}`)
  return step.failure
}

suite('an interface that is not ours yet', () => {
  test('is looked at, set up, and then its card is offered', () => {
    assert.equal(stepWhen(bare, { kind: 'unknown' }).kind, 'wait')
    assert.deepEqual(stepWhen(bare, linkOf()), {
      kind: 'set-link',
      card: bare,
      link: linkOf(),
      changes: [{ kind: 'add-alt-name', altName: 'upf' }, { kind: 'up' }],
      record,
      isCorrection: false,
    })
    assert.equal(stepWhen(ours, good).kind, 'offer')
  })

  test('is left to udev first while it has the name of the kernel, but not for ever', () => {
    const fresh = cardAt('0000:00:06.0', { interfaces: [{ name: 'eth1', mac, hasKernelName: true }] })
    const link = linkOf({ name: 'eth1' })
    const step = stepWhen(fresh, link, { cardAgeMs: 2_999 })
    assert.ok(step.kind === 'wait')
    assert.equal(step.soon, true)
    assert.equal(stepWhen(fresh, link, { cardAgeMs: 3_000 }).kind, 'set-link')
    // Nobody can rename it any more, at least not before Linux 6.2.
    assert.equal(stepWhen(fresh, linkOf({ name: 'eth1', isUp: true })).kind, 'set-link')
    assert.equal(stepWhen({ ...ours, interfaces: fresh.interfaces }, link).kind, 'set-link')
  })

  test('is recorded although nothing is to be changed on it: a pod may take it out of our sight', () => {
    const step = stepWhen(bare, good)
    assert.ok(step.kind === 'set-link')
    assert.deepEqual([step.changes, step.record], [[], { before: { mtu: 1500, isUp: true } }])
  })

  test('is left alone with a default route, an address, a master, or a link on top, here or in a pod', () => {
    assert.match(failure(bare, linkOf(), { host: uplink }).message, /^interface ens6 of 0000:00:06\.0 has a default/)
    assert.equal(failure(bare, { kind: 'unknown' }, { host: uplink }).reason, 'InterfaceInUse')
    const uses = [{ addresses: [address] }, { master: 'bond0' }, { uppers: ['ens6.5'] }, { uppersElsewhere: 1 }]
    for (const use of uses) {
      assert.equal(failure(bare, linkOf(use)).reason, 'InterfaceInUse')
    }
    const linkLocal = { address: 'fe80::1', prefixLength: 64, scope: 'link' }
    assert.equal(stepWhen(bare, linkOf({ addresses: [linkLocal] })).kind, 'set-link')
  })

  test('is not offered while it cannot be seen how it is', () => {
    assert.equal(failure(bare, { kind: 'unreadable', message: 'no ip' }).message, 'no ip')
    assert.match(failure(bare, { kind: 'hidden', name: 'ens6' }).message, /hostNetwork/)
    assert.equal(stepWhen(bare, linkOf(), { wantedLink: undefined }).kind, 'wait')
  })

  test('gets no MTU beyond what its driver says, and nothing else then', () => {
    const { reason, message } = failure(bare, linkOf({ maxMtu: 9216 }), { wantedLink: { mtu: 9300, altName: 'upf' } })
    assert.equal(reason, 'MTUTooLarge')
    assert.match(message, /^mtu 9300 is above 9216.*lower mtu of NodeENI upf$/)
  })
})

suite('an interface that we have set up', () => {
  test('may have addresses, masters, links on top; a default route only when it is for no pod', () => {
    const used = { ...good, addresses: [address], master: 'br0', uppers: ['ipvl0'] }
    assert.equal(stepWhen(ours, used).kind, 'offer')
    assert.equal(stepWhen(ours, used, { attachment: plain, host: uplink }).kind, 'offer')
    assert.equal(failure(ours, good, { host: uplink }).reason, 'InterfaceInUse')
  })

  test('is ours still after a reboot, which empties the journal, although users give it an address before us', () => {
    assert.equal(stepWhen(bare, linkOf({ addresses: [address] }), { attachment: setUp }).kind, 'set-link')
  })

  test('goes on being offered while it is in a pod, and while nothing is known of it', () => {
    assert.equal(stepWhen(inPod, { kind: 'out-of-sight' }).kind, 'offer')
    assert.equal(stepWhen(ours, { kind: 'unknown' }).kind, 'offer')
    assert.equal(stepWhen(ours, { kind: 'unreadable', message: 'no ip' }).kind, 'offer')
    assert.equal(stepWhen(ours, good, { wantedLink: undefined }).kind, 'offer')
    assert.equal(stepWhen(ours, linkOf(), { listed: 'ours', work: { kind: 'running' } }).kind, 'offer')
  })

  test('is set again when others have changed it, unless that was done just before', () => {
    const step = stepWhen(ours, linkOf(), { attachment: setUp })
    assert.ok(step.kind === 'set-link')
    assert.ok(step.isCorrection)
    assert.equal(stepWhen(ours, linkOf(), { attachment: setUp, isCorrectionDue: false }).kind, 'offer')
    const edited = stepWhen(ours, good, { attachment: setUp, isCorrectionDue: false, wantedLink: { mtu: 9000, altName: 'upf' } }) // prettier-ignore
    assert.ok(edited.kind === 'set-link')
    assert.ok(!edited.isCorrection)
  })

  test('is refused with the reason for which it could not be set, until it is as it should be', () => {
    const taken = { reason: 'InterfaceNameTaken', message: 'taken', terminal: false } as const
    const work = { kind: 'backing-off', failure: taken } as const
    assert.deepEqual(failure(ours, linkOf(), { work }), taken)
    assert.equal(stepWhen(ours, good, { work }).kind, 'offer')
  })

  test('is put back at its release, and then the finalizer ends; in a pod that is ending there is nothing to put back', () => {
    const attachment = attachmentOf({ deleting: true })
    assert.equal(stepWhen(ours, good, { attachment }).kind, 'restore-link')
    const restored = { ...ours, entry: entryFor(bare, 'uid-a', { wantedDriver: 'ena' }) }
    assert.equal(stepWhen(restored, good, { attachment }).kind, 'finish')
    assert.equal(stepWhen(inPod, { kind: 'out-of-sight' }, { attachment }).kind, 'finish')
    assert.equal(stepWhen(ours, linkOf(), { attachment, listed: 'ours' }).kind, 'withdraw')
  })

  test('is not released while a pod has the interface of a plain ENI, which the kubelet knows nothing of', () => {
    const attachment = attachmentOf({ deleting: true, spec: { resourceName: undefined } })
    const { reason, message } = failure(inPod, { kind: 'out-of-sight' }, { attachment })
    assert.equal(reason, 'InterfaceInUse')
    assert.match(message, /in another network namespace/)
  })

  test('is not released while links in pods stand on it, with a resource or without, and is no less usable for them', () => {
    const carrying = { ...good, uppersElsewhere: 2 }
    assert.equal(stepWhen(ours, carrying, { attachment: plain }).kind, 'offer')
    for (const spec of [{ resourceName: undefined }, {}]) {
      const { reason, message } = failure(ours, carrying, { attachment: attachmentOf({ deleting: true, spec }) })
      assert.equal(reason, 'InterfaceInUse')
      assert.match(message, /^interface ens6 .* carries 2 ipvlan or macvlan of other network namespaces/)
    }
  })
})
