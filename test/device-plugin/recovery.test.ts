// Cards that show no MAC and of which no journal entry is left: whose they are, if nothing speaks against it.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import * as fc from 'fast-check'

import { cardsToVisit } from '../../src/device-plugin/card-visits.ts'
import { type KnownCard, match } from '../../src/device-plugin/match.ts'
import { recover, type RecoveryFacts } from '../../src/device-plugin/recovery.ts'
import { attachmentOf, cardAt, entryFor } from './cards.ts'
import { resource } from './cluster-in-memory.ts'

const six = '0000:00:06.0'
const seven = '0000:00:07.0'
const macOfENI = (name: string) => {
  const digits = Buffer.from(name).toString('hex').slice(-4).padStart(4, '0')
  return `02:00:00:00:${digits.slice(0, 2)}:${digits.slice(2)}`
}

const primary = cardAt('0000:00:05.0', { interfaces: [{ name: 'ens5', mac: '02:00:00:00:00:01' }] })
const bound = (pciAddress: string, more: Partial<KnownCard> = {}) =>
  cardAt(pciAddress, { driver: 'vfio-pci', iommuGroup: { number: '3', noIommu: false }, ...more })
const shown = (pciAddress: string, name: string) =>
  cardAt(pciAddress, { interfaces: [{ name: 'ens9', mac: macOfENI(name) }] })

/** An ENI that EC2 says is attached, and the place at which an earlier life saw its card. */
function eni(
  name: string,
  place: string | undefined,
  { attached = true, missing = false, driver }: { attached?: boolean; missing?: boolean; driver?: string } = {},
) {
  const failure = { reason: 'CardMissing', message: 'gone', terminal: false, time: '2030-01-01T00:00:00Z' }
  const seen = { pciAddress: place, ...(missing && { failure }), ...(driver && { driver }) }
  const device = place === undefined ? {} : { device: seen }
  const attachment = attachmentOf({ uid: name, ...device })
  return {
    ...attachment,
    status: { ...attachment.status, eni: { eniID: `eni-${name}`, mac: macOfENI(name), attached } },
  }
}

function factsOf(
  cards: readonly KnownCard[],
  attachments: RecoveryFacts['attachments'],
  more: Partial<RecoveryFacts> = {},
): RecoveryFacts {
  return {
    cards,
    attachments,
    matches: match(cards, attachments),
    journaled: new Set(),
    allowedDevices: new Set(['1d0f:ec20']),
    isStranger: () => false,
    heldAs: () => [],
    ...more,
  }
}

/** "a at 0000:00:06.0", "b unidentified". */
function verdicts(...args: Parameters<typeof factsOf>): readonly string[] {
  return [...recover(factsOf(...args))].map(([uid, found]) =>
    found.kind === 'recovered' ? `${uid} at ${found.card.pciAddress}` : `${uid} ${found.kind}`,
  )
}

suite('a card is recovered', () => {
  test('when it is the only one left, at the place of the only ENI that is left', () => {
    assert.deepEqual(verdicts([primary, bound(six)], [eni('a', six)]), [`a at ${six}`])
  })

  test("with the kernel's driver for its make, which other cards of it have, or as ENA's is known", () => {
    const [found] = recover(factsOf([primary, bound(six)], [eni('a', six)])).values()
    assert.equal(found?.kind === 'recovered' && found.kernelDriver, 'ena')
    const intel = { deviceID: '8086:1889' }
    const others = { allowedDevices: new Set(['8086:1889']) }
    const [alone] = recover(factsOf([bound(six, intel)], [eni('a', six)], others)).values()
    assert.equal(alone?.kind === 'recovered' && alone.kernelDriver, undefined)
    const iavf = { ...primary, ...intel, driver: 'iavf' }
    const [beside] = recover(factsOf([iavf, bound(six, intel)], [eni('a', six)], others)).values()
    assert.equal(beside?.kind === 'recovered' && beside.kernelDriver, 'iavf')
  })

  test('of several, each at its place', () => {
    assert.deepEqual(verdicts([bound(six), bound(seven)], [eni('b', seven), eni('a', six)]), [
      `b at ${seven}`,
      `a at ${six}`,
    ])
  })

  test('while other ENIs show their MAC, are on their way, or have been seen to vanish', () => {
    const others = [eni('b', seven), eni('c', undefined), eni('d', six, { missing: true })]
    assert.deepEqual(verdicts([bound(six), shown(seven, 'b')], [eni('a', six), ...others]), [`a at ${six}`])
  })

  test('also when it is being released', () => {
    const { metadata, ...rest } = eni('a', six)
    const deleting = { ...rest, metadata: { ...metadata, deletionTimestamp: '2030-01-01T00:00:00Z' } }
    assert.deepEqual(verdicts([bound(six)], [deleting]), [`a at ${six}`])
  })
})

suite('a card is not identified', () => {
  const cases: Readonly<Record<string, Parameters<typeof factsOf>>> = {
    'when EC2 does not say that its ENI is attached': [[bound(six)], [eni('a', six, { attached: false })]],
    'when two ENIs claim its place': [[bound(six)], [eni('a', six), eni('b', six)]],
    'when another ENI is missing from its place': [[bound(six)], [eni('a', six), eni('b', seven)]],
    'when another ENI shows itself at another place than before': [
      [bound(six), shown(seven, 'b')],
      [eni('a', six), eni('b', '0000:00:08.0')],
    ],
    'when a card is left that nobody claims': [[bound(six), bound(seven)], [eni('a', six)]],
    'when a pod has it as a device of another resource': [
      [bound(six)],
      [eni('a', six)],
      { heldAs: () => [resource, 'intel.com/other'] },
    ],
    'while it has no driver': [[bound(six, { driver: undefined })], [eni('a', six)]],
    'when it has another driver than before': [[bound(six)], [eni('a', six, { driver: 'ena' })]],
  }
  for (const [when, facts] of Object.entries(cases)) {
    test(when, () => {
      assert.ok(verdicts(...facts).includes('a unidentified'))
      assert.ok(!verdicts(...facts).some((verdict) => verdict.startsWith('a at')))
    })
  }
})

suite('nothing is said of', () => {
  const cases: Readonly<Record<string, Parameters<typeof factsOf>>> = {
    'an ENI that was never seen here': [[bound(six)], [eni('a', undefined)]],
    'an ENI of which the journal still has an entry': [[bound(six)], [eni('a', six)], { journaled: new Set(['a']) }],
    "a card with the kernel's driver: it will show its MAC": [[bound(six, { driver: 'ena' })], [eni('a', six)]],
    'a card of another make': [[bound(six, { deviceID: '8086:1889' })], [eni('a', six)]],
    'a card that the journal knows': [[{ ...bound(six), entry: entryFor(bound(six), 'gone') }], [eni('a', six)]],
    'a card that was found to be a stranger': [[bound(six)], [eni('a', six)], { isStranger: () => true }],
    'a card that no ENIAttachment is missing': [[bound(six), shown(seven, 'a')], [eni('a', seven)]],
  }
  for (const [what, facts] of Object.entries(cases)) {
    test(what, () => assert.deepEqual(verdicts(...facts), []))
  }
})

suite('a card is looked at closely', () => {
  const doubtful = [eni('a', six), eni('b', six)]
  const visits = (cards: readonly KnownCard[], attachments: RecoveryFacts['attachments'], more: object = {}) => {
    const facts = factsOf(cards, attachments)
    const matches = new Map([...facts.matches, ...recover(facts)])
    const open = { ...facts, matches, unreadable: new Set<string>(), isFree: () => true, ...more }
    return cardsToVisit(open).map(({ pciAddress }) => pciAddress)
  }

  test('when it may be ours and nobody has it', () => {
    assert.deepEqual(visits([bound(six)], doubtful), [six])
    assert.deepEqual(visits([bound(six, { driver: undefined })], doubtful), [six])
    assert.deepEqual(visits([bound(six)], doubtful, { isFree: () => false }), [])
    assert.deepEqual(visits([bound(six, { isOpen: true })], doubtful), [])
    // It is in no count whether a process has it open, and it is no driver that we give to a card.
    assert.deepEqual(visits([bound(six, { driver: 'uio_pci_generic' })], doubtful), [])
  })

  test('when the journal has something of it that cannot be read, and an ENI of ours has no card', () => {
    const unreadable = new Set([six])
    assert.deepEqual(visits([bound(six)], [eni('a', undefined)], { unreadable }), [six])
    assert.deepEqual(visits([bound(six)], [], { unreadable }), [])
  })

  test('never when nothing speaks for its being ours, or its owner is known', () => {
    assert.deepEqual(visits([bound(six)], [eni('a', undefined)]), [])
    assert.deepEqual(visits([bound(six)], [eni('a', six)]), [])
  })
})

interface Place {
  readonly slot: number
  /** A stranger, or one of our ENIs: bound, or with its MAC to be seen. */
  readonly who: 'stranger' | 'bound' | 'shown'
}

const places: fc.Arbitrary<readonly Place[]> = fc.uniqueArray(
  fc.record({
    slot: fc.integer({ min: 10, max: 20 }),
    who: fc.constantFrom('stranger' as const, 'bound' as const, 'bound' as const, 'shown' as const),
  }),
  { selector: ({ slot }) => slot, maxLength: 6 },
)
const addressOf = (slot: number) => `0000:00:${slot}.0`
const nameOf = (slot: number) => `n${slot}`

function world(all: readonly Place[]) {
  const cards = all.map(({ slot, who }) =>
    who === 'shown' ? shown(addressOf(slot), nameOf(slot)) : bound(addressOf(slot)),
  )
  return { cards, ours: all.filter(({ who }) => who !== 'stranger') }
}

test('with true records each card of ours is found at its place, unless a stranger is on the bus: then none', () => {
  fc.assert(
    fc.property(places, (all) => {
      const { cards, ours } = world(all)
      const attachments = ours.map(({ slot }) => eni(nameOf(slot), addressOf(slot)))
      const hidden = ours.filter(({ who }) => who === 'bound')
      const isStranger = all.some(({ who }) => who === 'stranger')
      const expected = hidden.map(({ slot }) =>
        isStranger ? `${nameOf(slot)} unidentified` : `${nameOf(slot)} at ${addressOf(slot)}`,
      )
      assert.deepEqual(verdicts(cards, attachments), expected)
    }),
  )
})

test('with one record that is wrong, and whatever strangers there are, no ENI is taken for another', () => {
  const wrong = fc.record({ at: fc.nat(), slot: fc.integer({ min: 9, max: 21 }) })
  fc.assert(
    fc.property(places, wrong, (all, { at, slot: wrongSlot }) => {
      const { cards, ours } = world(all)
      const victim = ours.length === 0 ? undefined : ours[at % ours.length]
      const attachments = ours.map((place) =>
        eni(nameOf(place.slot), addressOf(place === victim ? wrongSlot : place.slot)),
      )
      const truth = new Set(ours.map(({ slot }) => `${nameOf(slot)} at ${addressOf(slot)}`))
      const found = verdicts(cards, attachments).filter((verdict) => verdict.includes(' at '))
      assert.deepEqual(
        found.filter((verdict) => !truth.has(verdict)),
        [],
      )
    }),
  )
})
