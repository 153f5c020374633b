// A device whose facts flap: Unhealthy at once, Healthy again only when it has been good for long enough.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as fc from 'fast-check'

import { HealthDamping } from '../../src/device-plugin/health-damping.ts'
import type { Step } from '../../src/device-plugin/step.ts'
import { cardAt } from './cards.ts'

const good: Step = { kind: 'offer', card: cardAt('0000:00:06.0', { driver: 'vfio-pci' }) }
const bad: Step = {
  kind: 'refuse',
  failure: { reason: 'DeviceNodeMissing', message: 'not there', terminal: false },
}

/** Asked at each of these seconds; "+" when it is offered, "-" when not. */
function story(...facts: readonly (readonly [second: number, step: Step])[]): string {
  const damping = new HealthDamping()
  return facts
    .map(([second, step]) => (damping.damped('a', step, second * 1_000).kind === 'offer' ? '+' : '-'))
    .join('')
}

test('the first time it is offered again at once', () => {
  assert.equal(story([0, good], [10, bad], [10.01, good]), '+-+')
})

test('the second time within a minute it waits a second, then two, then four', () => {
  assert.equal(story([0, good], [10, bad], [11, good], [20, bad], [21, good], [21.9, good], [22, good]), '+-+---+')
  const third = [
    [30, bad],
    [31, good],
    [32.9, good],
    [33, good],
  ] as const
  assert.equal(story([0, good], [10, bad], [11, good], [20, bad], [21, good], [22, good], ...third), '+-+--+---+')
})

test('what goes bad while it waits counts as another time', () => {
  const facts = [
    [0, good],
    [1, bad],
    [2, good],
    [3, bad],
    [4, good],
    [4.5, bad],
    [5, good],
    [6.9, good],
    [7, good],
  ] as const
  assert.equal(story(...facts), '+-+-----+')
})

test('after a quiet minute it is as new', () => {
  assert.equal(story([0, good], [1, bad], [2, good], [63, bad], [64, good]), '+-+-+')
})

test('the refusal says why, in the same words for as long as it holds', () => {
  const damping = new HealthDamping()
  for (const [second, step] of [
    [0, good],
    [1, bad],
    [2, good],
    [3, bad],
  ] as const)
    damping.damped('a', step, second * 1_000)
  const [first, second] = [4_000, 4_500].map((now) => damping.damped('a', good, now))
  assert.deepEqual(first, second)
  assert.ok(first?.kind === 'refuse')
  assert.equal(first.failure.reason, 'Flapping')
  assert.match(first.failure.message, /2 times.*after 1 s/)
})

test('work that is under way, and being released, are no facts against a device', () => {
  for (const kind of ['withdraw', 'finished', 'finish'] as const) {
    assert.equal(story([0, good], [1, bad], [2, good], [3, { kind }], [4, good]), '+-+-+')
  }
  assert.equal(story([0, good], [1, bad], [2, good], [3, { kind: 'wait', why: 'work' }], [4, good]), '+-+-+')
})

test('one device does not wait for another', () => {
  const damping = new HealthDamping()
  for (const step of [good, bad, good, bad]) damping.damped('a', step, 0)
  assert.equal(damping.damped('a', good, 10).kind, 'refuse')
  assert.equal(damping.damped('b', good, 10).kind, 'offer')
})

test('whatever the facts do, bad is never offered, and good is after a minute of it', () => {
  const changes = fc.array(fc.tuple(fc.integer({ min: 1, max: 30_000 }), fc.boolean()), { maxLength: 60 })
  fc.assert(
    fc.property(changes, (all) => {
      const damping = new HealthDamping()
      let now = 0
      for (const [ms, isGood] of all) {
        now += ms
        const step = damping.damped('a', isGood ? good : bad, now)
        if (!isGood) assert.equal(step.kind, 'refuse')
      }
      damping.damped('a', good, now)
      assert.equal(damping.damped('a', good, now + 60_000).kind, 'offer')
    }),
  )
})

test('facts that change every second for an hour change the list of the kubelet a few dozen times', () => {
  const damping = new HealthDamping()
  let offers = 0
  let isOffered = false
  for (let second = 0; second < 3_600; second++) {
    const now = damping.damped('a', second % 2 === 0 ? good : bad, second * 1_000).kind === 'offer'
    if (now && !isOffered) offers++
    isOffered = now
  }
  assert.ok(offers <= 2, `${offers} times`)
})
