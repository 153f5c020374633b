// What one pass tells of one ENIAttachment: from what was seen of the kubelet, and from what an earlier process has written.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import type { DeviceStatus } from '../../src/api/eni-attachment.ts'
import { type ReportInput, reportOn } from '../../src/device-plugin/attachment-report.ts'
import { deviceKey, Occupancy } from '../../src/device-plugin/occupancy.ts'
import type { Step } from '../../src/device-plugin/step.ts'
import { attachmentOf, cardAt } from './cards.ts'
import { resource } from './cluster-in-memory.ts'

const address = '0000:00:06.0'
const key = deviceKey(resource, address)
const card = cardAt(address, { driver: 'vfio-pci', iommuGroup: { number: '3', noIommu: false } })
const claim = { namespace: 'core', name: 'upf-0', uid: 'pod-1' }
const holder = { namespace: 'core', name: 'upf-0' }
const offeredAt = 1_000
const offer: Step = { kind: 'offer', card }
const listed = {
  attachmentUID: 'uid-a',
  card,
  eni: {},
  health: 'Healthy',
  since: offeredAt,
  grantable: true,
} as const

/** A claimed device that is in our list since 1,000 ms, at 1,500 ms. */
function report(more: Partial<ReportInput> = {}, held = false) {
  const occupancy = new Occupancy()
  occupancy.observe({ startedAt: 1_400, holders: new Map(held ? [[key, holder]] : []) })
  return reportOn({
    situation: {
      attachment: attachmentOf({ spec: { claim } }),
      match: { kind: 'found', card },
      wanted: { userspace: 'vfio-pci' },
      driver: 'there',
      expectedAddress: undefined,
      generation: 3,
      host: { used: new Set(), uplinks: new Set(), addresses: new Set() },
      linkFacts: { kind: 'out-of-sight' },
      cardAgeMs: 0,
      wantedLink: undefined,
      isCorrectionDue: true,
      listed: 'ours',
      occupancy: held ? 'taken' : 'free',
      primary: { mac: undefined, addresses: [] },
      isAllowed: true,
      foreignMates: [],
      groupSpokenFor: undefined,
      isJournaled: true,
      resourceProblem: undefined,
      isDescribed: true,
      work: { kind: 'none' },
      address,
      key,
      mtu: undefined,
    },
    step: offer,
    before: undefined,
    listed,
    view: { startedAt: 1_400, allocatable: new Set([key]) },
    occupancy,
    claimSeenAt: 1_200,
    now: 1_500,
    time: '2030-01-01T00:00:00.000Z',
    ...more,
  })
}

suite('a device is advertised, and its claim acknowledged', () => {
  test('when a look that began after it was listed shows it', () => {
    const { status, awaited } = report()
    assert.deepEqual([status?.advertised, status?.acknowledged], [true, 'pod-1'])
    assert.equal(awaited, undefined)
  })

  test('not by a look that is older than the list', () => {
    const view = { startedAt: offeredAt - 1, allocatable: new Set([key]) }
    const { status, awaited } = report({ view })
    assert.deepEqual([status?.advertised, status?.acknowledged], [false, undefined])
    assert.equal(awaited, `advertise ${key} ${offeredAt}`)
  })
})

suite('what an earlier process has written', () => {
  const before: DeviceStatus = { advertised: true, acknowledged: 'pod-1', seenTime: '2029-01-01T00:00:00.000Z' }
  const unseen = { view: undefined, before }

  test('stands for a second while the kubelet need not have shown the device yet', () => {
    assert.deepEqual(pick(report(unseen).status), [true, 'pod-1'])
    assert.deepEqual(pick(report({ ...unseen, now: offeredAt + 1_000 }).status), [false, undefined])
  })

  test('gives no acknowledgement to another claim', () => {
    const { status, awaited } = report({ ...unseen, before: { ...before, acknowledged: 'pod-0' } })
    assert.deepEqual(pick(status), [true, undefined])
    assert.equal(awaited, `advertise ${key} ${offeredAt}`)
  })

  function pick(status: DeviceStatus | undefined) {
    return [status?.advertised, status?.acknowledged]
  }
})

suite('a failure', () => {
  const failure = { reason: 'BindFailed', message: 'refused', terminal: false } as const
  const before: DeviceStatus = { failure: { ...failure, time: '2029-01-01T00:00:00.000Z' }, seenTime: 'then' }

  test('is told, and makes the device Unhealthy', () => {
    const { status } = report({ step: { kind: 'refuse', failure } })
    assert.equal(status?.failure?.reason, 'BindFailed')
    assert.equal(status?.health, 'Unhealthy')
  })

  test('is shown until the next try has ended well', () => {
    assert.equal(
      report({ before, step: { kind: 'wait', why: 'work under way' } }).status?.failure?.reason,
      'BindFailed',
    )
    assert.equal(report({ before }).status?.failure, undefined)
  })

  test('of a card that was seen once and is gone is CardMissing; a card that has not come yet is none', () => {
    const step: Step = { kind: 'await-card' }
    assert.equal(report({ before, step }).status?.failure?.reason, 'CardMissing')
    assert.equal(report({ before: { driver: 'ena' }, step }).status?.failure, undefined)
  })
})

test('a device in a pod tells with which, and waits for nothing', () => {
  const { status, passing } = report({}, true)
  assert.deepEqual(status?.inUseBy, holder)
  assert.equal(passing, false)
})

test('a device that is being released is Unhealthy and waits to be seen out of the kubelet', () => {
  const leaving = { ...listed, health: 'Unhealthy', since: 1_450 } as const
  const { status, awaited } = report({ step: { kind: 'withdraw' }, listed: leaving })
  assert.equal(status?.health, 'Unhealthy')
  assert.equal(awaited, `leave ${key} 1450`)
})
