// Random orders of all that may happen around the attacher: pods, NodeENIs, nodes, people with a console, VPC CNI, another cluster,
// faults of EC2 and of the API server, and deaths of the attacher. `make model` explores more than these.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ask, wordsOf } from './property.ts'

const runs = 16
const shrinkMs = 60_000

for (const seed of [1, 2, 3]) {
  test(`nothing is broken in any order of steps (seed ${seed})`, async () => {
    const { steps, failure } = await ask({ seed, runs, shrinkMs })
    assert.ok(failure === undefined, failure && wordsOf(failure))
    assert.ok(steps > runs * 20)
  })
}
