// status.device: when a claim is acknowledged, and which times are kept.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import {
  type AckQuestion,
  acknowledgement,
  type DeviceFacts,
  deviceStatus,
} from '../../src/device-plugin/device-status.ts'
import { cardAt } from './cards.ts'

const holder = { namespace: 'core', name: 'upf-0' }

function ack(more: Partial<AckQuestion>): string | undefined {
  return acknowledgement({
    claimUID: 'pod-2',
    before: undefined,
    isSeen: true,
    advertised: true,
    isFree: true,
    holder: undefined,
    claimSeenAt: 100,
    listedAt: 100,
    ...more,
  })
}

suite('a claim is acknowledged', () => {
  test('when the kubelet has the device and a List begun after the claim was seen shows it with nobody', () => {
    assert.equal(ack({}), 'pod-2')
  })

  test('not without a claim', () => {
    assert.equal(ack({ claimUID: undefined, before: 'pod-1' }), undefined)
  })

  test('not while the kubelet does not have the device', () => {
    assert.equal(ack({ isSeen: false, advertised: false }), undefined)
  })

  test('not by what an earlier process has seen: the kubelet need not know us any more', () => {
    assert.equal(ack({ isSeen: false, advertised: true }), undefined)
    assert.equal(ack({ isSeen: false, advertised: true, before: 'pod-2' }), 'pod-2')
  })

  test('not while somebody has it', () => {
    assert.equal(ack({ isFree: false, holder }), undefined)
    assert.equal(ack({ isFree: false, before: 'pod-1' }), undefined)
  })

  test('not by a List that is older than the claim', () => {
    assert.equal(ack({ listedAt: 99 }), undefined)
  })

  test('once: it stays while a pod holds the device, and while the kubelet has it', () => {
    assert.equal(ack({ before: 'pod-2', isFree: false, holder, isSeen: false, advertised: false }), 'pod-2')
    assert.equal(ack({ before: 'pod-2', isFree: false, holder }), 'pod-2')
  })

  test('no longer when the device leaves the kubelet before anybody holds it', () => {
    assert.equal(ack({ before: 'pod-2', isSeen: false, advertised: false }), undefined)
  })
})

suite('the status', () => {
  const facts: DeviceFacts = {
    card: cardAt('0000:00:06.0', { driver: 'vfio-pci' }),
    interfaceName: undefined,
    isBound: true,
    health: 'Healthy',
    advertised: true,
    acknowledged: 'pod-1',
    holder: undefined,
    failure: undefined,
  }
  const nothing: DeviceFacts = { ...facts, card: undefined, isBound: false, advertised: false, acknowledged: undefined }

  test('says nothing before there is something to say', () => {
    assert.equal(deviceStatus(undefined, nothing, 'now'), undefined)
  })

  test('keeps the time of each step, and gives each acknowledgement its own', () => {
    const first = deviceStatus(undefined, facts, 'first')
    const later = deviceStatus(first, { ...facts, acknowledged: 'pod-2' }, 'later')
    assert.deepEqual(
      [later?.seenTime, later?.boundTime, later?.advertisedTime, later?.acknowledgedTime],
      ['first', 'first', 'first', 'later'],
    )
    assert.equal(deviceStatus(later, { ...facts, acknowledged: 'pod-2' }, 'last')?.acknowledgedTime, 'later')
  })

  test('keeps the time of a failure until another one comes', () => {
    const failure = { reason: 'BindFailed', message: 'refused', terminal: false } as const
    const first = deviceStatus(undefined, { ...nothing, failure }, 'first')
    assert.equal(deviceStatus(first, { ...nothing, failure }, 'later')?.failure?.time, 'first')
    const other = { ...failure, message: 'refused again' }
    assert.equal(deviceStatus(first, { ...nothing, failure: other }, 'later')?.failure?.time, 'later')
    assert.equal(deviceStatus(first, facts, 'later')?.failure, undefined)
  })

  test('remembers the address of a card that has vanished', () => {
    const first = deviceStatus(undefined, facts, 'first')
    assert.equal(deviceStatus(first, nothing, 'later')?.pciAddress, '0000:00:06.0')
    assert.equal(deviceStatus(first, nothing, 'later')?.driver, undefined)
  })
})
