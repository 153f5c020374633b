// The faults of test/mutants still fit the code: each can be put where it says. `make mutants` runs them.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

import { mutants } from '../mutants/mutants.ts'
import { stories } from './crash/stories.ts'

const slugs = stories.map(({ slug }) => slug)

for (const { fault, file, find, replace, caughtBy } of mutants) {
  test(`${fault}: its place and its tests are there`, () => {
    assert.equal(readFileSync(file, 'utf8').split(find).length, 2, `${file} has exactly once: ${find}`)
    assert.notEqual(find, replace)
    for (const name of caughtBy) if (name.endsWith('.ts')) assert.ok(existsSync(name), name)
    if (caughtBy[0]?.endsWith('explore.ts') === true) assert.ok(slugs.includes(caughtBy[1] ?? ''), caughtBy[1])
  })
}
