// Whose card is it? Only the MAC says so, and only if it says it once.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as fc from 'fast-check'

import { type KnownCard, match } from '../../src/device-plugin/match.ts'
import { attachmentOf, cardAt, entryFor, mac } from './cards.ts'

const six = '0000:00:06.0'
const withMac = (pciAddress: string, address: string) =>
  cardAt(pciAddress, { interfaces: [{ name: 'ens6', mac: address }] })

test('a card that shows the MAC is found, in whichever case EC2 writes it', () => {
  const card = withMac(six, mac)
  assert.deepEqual(match([card], [attachmentOf({ mac: mac.toUpperCase() })]).get('uid-a'), { kind: 'found', card })
})

test('a card that shows no MAC is found by its journal entry', () => {
  const bare = cardAt(six, { driver: 'vfio-pci' })
  const card = { ...bare, entry: entryFor(bare, 'uid-a') }
  assert.deepEqual(match([card], [attachmentOf()]).get('uid-a'), { kind: 'found', card })
})

test('what a card shows counts more than its journal entry', () => {
  const shown = withMac(six, '02:00:00:00:00:99')
  const card = { ...shown, entry: entryFor(shown, 'uid-a') }
  assert.deepEqual(match([card], [attachmentOf()]).get('uid-a'), { kind: 'absent' })
})

test('an attachment without a MAC has no card', () => {
  assert.deepEqual(match([withMac(six, mac)], [attachmentOf({ mac: undefined })]).get('uid-a'), { kind: 'absent' })
})

test("two cards with one MAC, or two attachments with one MAC, are nobody's", () => {
  const twice = [withMac(six, mac), withMac('0000:00:07.0', mac)]
  assert.equal(match(twice, [attachmentOf()]).get('uid-a')?.kind, 'ambiguous')
  const both = match([withMac(six, mac)], [attachmentOf(), attachmentOf({ uid: 'uid-b' })])
  assert.deepEqual([both.get('uid-a')?.kind, both.get('uid-b')?.kind], ['ambiguous', 'ambiguous'])
})

const macs = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03', mac]
const someMac = fc.constantFrom(...macs)
const someUid = fc.constantFrom('uid-a', 'uid-b', 'uid-c')

const someCards: fc.Arbitrary<readonly KnownCard[]> = fc
  .uniqueArray(
    fc.record({
      slot: fc.integer({ min: 5, max: 9 }),
      shown: fc.option(someMac),
      kept: fc.option(fc.tuple(someMac, someUid)),
    }),
    { selector: ({ slot }) => slot },
  )
  .map((all) =>
    all.map(({ slot, shown, kept }) => {
      const card = cardAt(`0000:00:0${slot}.0`, { interfaces: shown === null ? [] : [{ name: 'eth0', mac: shown }] })
      return kept === null ? card : { ...card, entry: entryFor(card, kept[1], { mac: kept[0] }) }
    }),
  )
const someAttachments = fc
  .uniqueArray(fc.record({ uid: someUid, mac: fc.option(someMac, { nil: undefined }) }), { selector: ({ uid }) => uid })
  .map((all) => all.map((parts) => attachmentOf(parts)))

test('no card is given to two attachments, and none to an attachment that does not name its MAC', () => {
  fc.assert(
    fc.property(someCards, someAttachments, (cards, attachments) => {
      const matches = match(cards, attachments)
      assert.equal(matches.size, attachments.length)
      const given = new Set<string>()
      for (const attachment of attachments) {
        const found = matches.get(attachment.metadata.uid)
        if (found?.kind !== 'found') continue
        const { card } = found
        assert.ok(!given.has(card.pciAddress))
        given.add(card.pciAddress)
        const known = card.interfaces[0]?.mac ?? card.entry?.mac
        assert.equal(known, attachment.status?.eni?.mac)
      }
    }),
  )
})
