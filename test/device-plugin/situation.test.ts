// The facts of one attachment: what counts as its device, and which driver it is to have.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { pino } from 'pino'

import { CardWork } from '../../src/device-plugin/card-work.ts'
import { LinkCorrections } from '../../src/device-plugin/link-corrections.ts'
import { systemClock } from '../../src/device-plugin/monotonic-clock.ts'
import { DeviceLists } from '../../src/device-plugin/device-lists.ts'
import { Journal } from '../../src/device-plugin/journal.ts'
import { type KnownCard, match } from '../../src/device-plugin/match.ts'
import { nodeDemand } from '../../src/device-plugin/node-demand.ts'
import { deviceKey, Occupancy } from '../../src/device-plugin/occupancy.ts'
import { type Knowledge, situationOf } from '../../src/device-plugin/situation.ts'
import { attachmentOf, type AttachmentParts, cardAt, entryFor, mac } from './cards.ts'
import { ClusterInMemory, resource } from './cluster-in-memory.ts'

const address = '0000:00:06.0'
const shown = cardAt(address, { interfaces: [{ name: 'ens6', mac }] })
const silent = pino({ level: 'silent' })
const holder = { namespace: 'core', name: 'upf-0' }

function knowledge(): Knowledge {
  return {
    journal: new Journal('/nonexistent', 'boot-1', silent),
    lists: new DeviceLists(() => undefined),
    occupancy: new Occupancy(),
    work: new CardWork(systemClock, silent, () => undefined),
    hasDriver: () => true,
    mayDriverCome: () => false,
    allowedDevices: new Set(['1d0f:ec20']),
    resourceProblem: () => undefined,
    isDescribed: () => true,
    links: { view: undefined },
    corrections: new LinkCorrections(systemClock),
  }
}

function situation(
  known: Knowledge,
  cards: readonly KnownCard[],
  all: readonly AttachmentParts[],
  nodeENI: object = {},
) {
  const cluster = new ClusterInMemory()
  cluster.addNodeENI('upf', nodeENI)
  const attachments = all.map((parts) => attachmentOf(parts))
  const demand = nodeDemand({ ...cluster.state(), attachments }, new Set([resource]))
  const host = { used: new Set<string>(), uplinks: new Set<string>(), addresses: new Set<string>() }
  const [first] = attachments
  assert.ok(first)
  const primary = { mac: undefined, addresses: [] }
  return situationOf(
    first,
    { demand, host, primary, matches: match(cards, attachments), altNames: new Map() },
    known,
    0,
  )
}

test("the device of an earlier card at the same address is not this card's", () => {
  const known = knowledge()
  known.lists.offer(resource, { attachmentUID: 'uid-old', card: shown, eni: {} }, 0)
  assert.equal(situation(known, [shown], [{}]).listed, 'another')
  known.lists.offer(resource, { attachmentUID: 'uid-a', card: shown, eni: {} }, 0)
  assert.equal(situation(known, [shown], [{}]).listed, 'ours')
})

test('while a pod has another resource by the address of this card, the address is that of the earlier device', () => {
  const known = knowledge()
  const earlier = { attachmentUID: 'uid-old', card: shown, eni: {} }
  known.lists.offer('intel.com/other', earlier, 0)
  assert.equal(situation(known, [shown], [{}]).listed, 'another')
  const held = knowledge()
  held.occupancy.observe({ startedAt: 0, holders: new Map([[deviceKey('intel.com/other', address), holder]]) })
  assert.equal(situation(held, [shown], [{}]).listed, 'another')
  held.occupancy.observe({ startedAt: 1, holders: new Map() })
  assert.equal(situation(held, [shown], [{}]).listed, 'nobody')
})

test('a vanished card is held by the pod that had its address, until another card has that address', () => {
  const known = knowledge()
  known.occupancy.observe({ startedAt: 0, holders: new Map([[deviceKey(resource, address), holder]]) })
  const gone = { mac: '02:00:00:00:00:99', device: { pciAddress: address } }
  assert.equal(situation(known, [], [gone]).occupancy, 'taken')
  assert.equal(situation(known, [shown], [gone, { uid: 'uid-b' }]).occupancy, 'free')
})

test('the driver is that of the NodeENI, but a card that is ours keeps the one it was given', () => {
  assert.deepEqual(situation(knowledge(), [shown], [{}]).wanted, { userspace: 'vfio-pci' })
  assert.deepEqual(situation(knowledge(), [shown], [{}], { dpdkDriver: 'igb_uio' }).wanted, { userspace: 'igb_uio' })
  assert.equal(situation(knowledge(), [shown], [{}], { enableDPDK: false }).wanted, 'kernel')
  const ours = cardAt(address, { driver: 'vfio-pci', entry: entryFor(shown, 'uid-a') })
  assert.deepEqual(situation(knowledge(), [ours], [{}], { enableDPDK: false }).wanted, { userspace: 'vfio-pci' })
  const kept = { ...shown, entry: entryFor(shown, 'uid-a', { wantedDriver: 'ena' }) }
  assert.equal(situation(knowledge(), [kept], [{}]).wanted, 'kernel')
})

test('of an attachment whose NodeENI is not known nothing is wanted', () => {
  assert.equal(situation(knowledge(), [shown], [{ spec: { nodeENI: 'other' } }]).wanted, 'unknown')
})

test('a card of another make than the setting names is not allowed', () => {
  assert.equal(situation(knowledge(), [shown], [{}]).isAllowed, true)
  assert.equal(situation(knowledge(), [{ ...shown, deviceID: '1d0f:efa2' }], [{}]).isAllowed, false)
})

const other = '0000:00:07.0'
const withMate = (driver: string | undefined) => ({ ...shown, groupMates: [{ pciAddress: other, driver }] })

for (const driver of [undefined, 'vfio-pci', 'pci-stub', 'pcieport']) {
  test(`a function of the same IOMMU group with driver ${driver ?? 'none'} is in nobody's use`, () => {
    assert.deepEqual(situation(knowledge(), [withMate(driver)], [{}]).foreignMates, [])
  })
}

test("a card of the same group with the kernel's driver is foreign, unless it is to leave that driver too", () => {
  const mate = { pciAddress: other, driver: 'ena' }
  const otherMac = '02:00:00:00:00:67'
  const sibling = cardAt(other, { interfaces: [{ name: 'ens7', mac: otherMac }] })
  const cards = [withMate('ena'), sibling]
  assert.deepEqual(situation(knowledge(), cards, [{}]).foreignMates, [mate])
  assert.deepEqual(situation(knowledge(), cards, [{}, { uid: 'uid-b', mac: otherMac }]).foreignMates, [])
  const elsewhere = { uid: 'uid-b', mac: otherMac, spec: { nodeENI: 'unknown' } }
  assert.deepEqual(situation(knowledge(), cards, [{}, elsewhere]).foreignMates, [mate])
})

test('a driver that the kernel does not have is waited for while the node may be loading it', () => {
  const card = cardAt(address, { driver: 'ena', interfaces: [{ name: 'ens6', mac }] })
  const driverWhen = (mayCome: boolean) =>
    situation({ ...knowledge(), hasDriver: () => false, mayDriverCome: () => mayCome }, [card], [{}]).driver
  assert.deepEqual([driverWhen(true), driverWhen(false)], ['awaited', 'missing'])
  assert.equal(situation(knowledge(), [card], [{}]).driver, 'there')
})
