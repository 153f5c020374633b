// The journal survives a crash at any byte: what is read back is a whole entry that was written, or nothing.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import * as fc from 'fast-check'
import { pino } from 'pino'

import { Journal, type JournalEntry } from '../../src/device-plugin/journal.ts'
import { cardAt } from './cards.ts'

const silent = pino({ level: 'silent' })
const bootID = 'boot-1'

const hex = (length: number) =>
  fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length }).map((all) => all.join(''))
const pciAddress = fc.tuple(hex(2), hex(2)).map(([bus, slot]) => `0000:${bus}:${slot}.0`)
const text = fc.string({ minLength: 1, unit: 'grapheme' })
const entries: fc.Arbitrary<JournalEntry> = fc.record(
  {
    bootID: fc.constant(bootID),
    pciAddress,
    inode: text,
    mac: text,
    eniID: text,
    attachment: text,
    attachmentUID: text,
    resourceName: text,
    originalDriver: text,
    wantedDriver: text,
    // Absent in entries of earlier versions, and of cards that are given to a userspace driver.
    link: fc.record(
      {
        before: fc.record({ mtu: fc.nat(), isUp: fc.boolean() }, { noNullPrototype: true }),
        mtu: fc.nat(),
        altName: text,
      },
      { requiredKeys: ['before'], noNullPrototype: true },
    ),
  },
  {
    requiredKeys: ['bootID', 'pciAddress', 'inode', 'mac', 'eniID', 'attachment', 'attachmentUID', 'wantedDriver'],
    noNullPrototype: true,
  },
)

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'journal-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

async function reopened(directory: string, boot = bootID): Promise<Journal> {
  const journal = new Journal(directory, boot, silent)
  await journal.load()
  return journal
}

test('what was written is read back by the next process', async (t) => {
  const parent = scratch(t)
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(entries, { selector: (entry) => entry.pciAddress, maxLength: 4 }), async (all) => {
      const directory = mkdtempSync(join(parent, 'run-'))
      const journal = await reopened(directory)
      for (const entry of all) await journal.write(entry)
      const byAddress = (a: JournalEntry, b: JournalEntry) => a.pciAddress.localeCompare(b.pciAddress)
      assert.deepEqual((await reopened(directory)).entries().toSorted(byAddress), all.toSorted(byAddress))
    }),
    { numRuns: 25 },
  )
})

test('a crash while an entry is replaced leaves the entry before it, whichever prefix has reached the disk', async (t) => {
  const directory = scratch(t)
  const [before, after] = fc.sample(entries, { numRuns: 2, seed: 7 }) as [JournalEntry, JournalEntry]
  await (await reopened(directory)).write(before)
  const whole = JSON.stringify({ ...after, pciAddress: before.pciAddress })
  for (let length = 0; length <= whole.length; length++) {
    writeFileSync(join(directory, `${before.pciAddress}.json.new`), whole.slice(0, length))
    assert.deepEqual((await reopened(directory)).entries(), [before])
  }
  assert.deepEqual(readdirSync(directory), [`${before.pciAddress}.json`])
})

test('a torn entry is no entry: no prefix of it is taken for a whole one', async (t) => {
  const directory = scratch(t)
  const [entry] = fc.sample(entries, { numRuns: 1, seed: 11 }) as [JournalEntry]
  await (await reopened(directory)).write(entry)
  const file = join(directory, `${entry.pciAddress}.json`)
  const whole = readFileSync(file, 'utf8')
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(file, whole.slice(0, length))
    const journal = await reopened(directory)
    assert.deepEqual(journal.entries(), [])
    // And yet it tells that a card at this address was ours.
    assert.deepEqual([...journal.unreadable], [entry.pciAddress])
  }
  const journal = await reopened(directory)
  await journal.write(entry)
  assert.deepEqual([...journal.unreadable], [])
})

test('an entry of an earlier boot is forgotten, and so is its file', async (t) => {
  const directory = scratch(t)
  const [entry] = fc.sample(entries, { numRuns: 1, seed: 3 }) as [JournalEntry]
  await (await reopened(directory)).write(entry)
  assert.deepEqual((await reopened(directory, 'boot-2')).entries(), [])
  assert.deepEqual(readdirSync(directory), [])
})

test('an entry is of one appearance of a card: the next card at the same address is not its card', async (t) => {
  const journal = await reopened(scratch(t))
  const [entry] = fc.sample(entries, { numRuns: 1, seed: 5 }) as [JournalEntry]
  await journal.write({ ...entry, inode: '77' })
  const card = cardAt(entry.pciAddress, { inode: '77' })
  assert.equal(journal.of(card)?.attachmentUID, entry.attachmentUID)
  assert.equal(journal.of({ ...card, inode: '78' }), undefined)
})

test('to forget an attachment leaves the entry that another has written for the same address', async (t) => {
  const directory = scratch(t)
  const journal = await reopened(directory)
  const [entry] = fc.sample(entries, { numRuns: 1, seed: 9 }) as [JournalEntry]
  await journal.write({ ...entry, attachmentUID: 'old' })
  const written = journal.write({ ...entry, attachmentUID: 'new' })
  await Promise.all([written, journal.forget('old')])
  assert.deepEqual((await reopened(directory)).entries(), [{ ...entry, attachmentUID: 'new' }])
})

test('what is not of the journal is left as it is, such as lost+found where the directory is a disk of its own', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'journal-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  mkdirSync(join(directory, 'lost+found'))
  const journal = new Journal(directory, bootID, silent)
  await journal.load()
  assert.deepEqual(readdirSync(directory), ['lost+found'])
  assert.equal(journal.unreadable.size, 0)
})

test('a file that the disk does not give is named and left out; the start goes on with the others', async (t) => {
  const directory = scratch(t)
  const [entry] = fc.sample(entries, { numRuns: 1, seed: 13 }) as [JournalEntry]
  await (await reopened(directory)).write(entry)
  // A directory cannot be read as a file (EISDIR), as a bad sector cannot (EIO).
  mkdirSync(join(directory, '0000:ff:1f.0.json'))
  const lines: string[] = []
  const journal = new Journal(directory, bootID, pino({}, { write: (line: string) => lines.push(line) }))
  await journal.load()
  assert.deepEqual(journal.entries(), [entry])
  assert.match(lines.join(''), /"file":"0000:ff:1f\.0\.json".*cannot be read/)
})
