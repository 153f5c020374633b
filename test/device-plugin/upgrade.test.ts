// An upgrade under running pods: the old process ends as it is asked to, the new one finds all as it was, and no pod notices.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { startProgramNode } from './program-under-test.ts'

const macs = ['02:00:00:00:00:66', '02:00:00:00:00:67'] as const

test('no pod notices an upgrade: nothing is bound, unbound or written anew, and the kubelet has all devices again', async (t) => {
  const node = await startProgramNode(t)
  const old = node.start()
  for (const [index, mac] of macs.entries()) {
    const name = `a${index}`
    await node.attach(name, mac, `pod-${index}`)
    await node.until(name, (device) => device?.acknowledged === `pod-${index}`)
  }
  assert.ok((await node.admit('upf-0')).admitted)
  assert.ok((await node.admit('upf-1')).admitted)
  for (const name of ['a0', 'a1']) await node.until(name, (device) => device?.inUseBy !== undefined)
  const before = { devices: [node.device('a0'), node.device('a1')], journal: node.journal() }
  const touched: string[] = []
  for (const effect of ['bound', 'unbound', 'probe-failed', 'write-refused', 'waiting'] as const) {
    node.bus.effects.on(effect, () => touched.push(effect))
  }

  const gone = node.allocatable(0)
  assert.equal(await old.end('SIGTERM'), 0)
  await gone
  assert.deepEqual(node.sockets(), [])
  const upgraded = node.start()
  await node.allocatable(2)
  const { ms } = await upgraded.logged('ready')
  t.diagnostic(`ready ${String(ms)} ms after the start of its process`)
  t.diagnostic(`allocatable again ${Math.round(performance.now() - upgraded.startedAt)} ms after the start`)
  await node.looked()
  assert.deepEqual({ devices: [node.device('a0'), node.device('a1')], journal: node.journal() }, before)
  assert.deepEqual(touched, [])
  assert.equal(upgraded.lines.filter(({ level }) => Number(level) >= 40).length, 0, 'it has warned')

  // Both go on under the new one: a pod ends, the next gets its device, and the other's stays where it is.
  node.kubelet.endPod({ namespace: 'core', name: 'upf-0' })
  const next = await node.admit('upf-2')
  assert.ok(next.admitted)
  await upgraded.logged('device allocated')
})

test('a journal that a newer version has written is read for what is known of it', async (t) => {
  const node = await startProgramNode(t)
  const newer = node.start()
  await node.attach('a', macs[0], 'pod-1')
  await node.until('a', (device) => device?.acknowledged === 'pod-1')
  await newer.end('SIGTERM')
  for (const [name, text] of Object.entries(node.journal())) {
    const entry = { ...(JSON.parse(text) as object), addedLater: { in: ['a', 'newer', 'version'] } }
    writeFileSync(join(node.root, 'state/cards', name), JSON.stringify(entry))
  }

  const older = node.start()
  await node.allocatable(1)
  node.release('a')
  await node.released('a')
  assert.equal(node.driverOf(macs[0]), 'ena')
  assert.deepEqual(node.journal(), {})
  assert.ok(!older.has('journal file ignored: it is not a whole entry'))
})
