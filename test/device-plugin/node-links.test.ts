// The last look at the node's interfaces: when it is made, and when it does not count any more.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'

import { pino } from 'pino'

import type { HostLinks, LinksShown } from '../../src/device-plugin/host-links.ts'
import { NodeLinks } from '../../src/device-plugin/node-links.ts'
import { linkOf } from './cards.ts'
import { HandClock } from './hand-clock.ts'

const change = { kind: 'up' } as const

class ManualLinks implements HostLinks {
  readonly looks: PromiseWithResolvers<LinksShown>[] = []
  readonly show = () => {
    const look = Promise.withResolvers<LinksShown>()
    this.looks.push(look)
    return look.promise
  }
  readonly change = async () => ({ kind: 'changed' }) as const

  async answer(shown: LinksShown = { kind: 'shown', links: [linkOf()] }): Promise<void> {
    this.looks.at(-1)?.resolve(shown)
    await setImmediate()
  }
}

function watched() {
  const clock = new HandClock()
  const links = new ManualLinks()
  const lines: string[] = []
  const log = pino({}, { write: (line: string) => lines.push((JSON.parse(line) as { msg: string }).msg) })
  return { clock, links, lines, node: new NodeLinks({ links, clock, log, onLook: () => undefined }) }
}

test('nothing is looked at while nobody asks, and one look is made at a time', async () => {
  const { links, node } = watched()
  node.keepLooking(new Set())
  assert.equal(links.looks.length, 0)
  node.keepLooking(new Set(['a']))
  node.keepLooking(new Set(['a', 'b']))
  assert.equal(links.looks.length, 1)
  await links.answer()
  assert.ok(node.view?.kind === 'seen')
  assert.deepEqual([...node.view.asked], ['a'])
})

test('a new question is looked after at once, the same one two seconds later', async () => {
  const { clock, links, node } = watched()
  node.keepLooking(new Set(['a', 'b']))
  await links.answer()
  node.keepLooking(new Set(['a']))
  assert.equal(links.looks.length, 1)
  node.keepLooking(new Set(['a', 'c']))
  assert.equal(links.looks.length, 2)
  await links.answer()
  clock.now += 2_000
  node.keepLooking(new Set(['a', 'c']))
  assert.equal(links.looks.length, 3)
})

test('a look that began before a change of ours does not count', async () => {
  const { links, node } = watched()
  node.keepLooking(new Set(['a']))
  await node.change(linkOf(), [change])
  await links.answer()
  const kind = () => node.view?.kind
  assert.equal(kind(), undefined)
  node.keepLooking(new Set(['a']))
  await links.answer()
  assert.equal(kind(), 'seen')
})

test('a look that fails is told once, and made again after two seconds', async () => {
  const { clock, links, lines, node } = watched()
  for (let look = 0; look < 3; look++) {
    node.keepLooking(new Set(['a']))
    await links.answer({ kind: 'failed', message: 'no ip' })
    assert.deepEqual(node.view, { kind: 'failed', message: 'no ip' })
    node.keepLooking(new Set(['a']))
    assert.equal(links.looks.length, look + 1)
    clock.now += 2_000
  }
  assert.deepEqual(lines, ['interfaces of the node not read'])
})
