// Behind a stuck unbind a read of the card's driver_override never returns (kernel: it takes the device lock). The program must
// not make one: all that it does, for whichever card, would end with it.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { startProgramNode } from './program-under-test.ts'

test('a card whose driver_override cannot be read keeps nothing waiting: not the loop, not a restart, not other cards', async (t) => {
  const node = await startProgramNode(t)
  const before = node.start()
  const bdf = await node.attach('a', '02:00:00:00:00:66', 'pod-1')
  await node.until('a', (device) => device?.acknowledged === 'pod-1')
  const override = join(node.root, 'sys/bus/pci/devices', bdf, 'driver_override')
  rmSync(override)
  // To open it for reading waits for a writer, and nobody writes.
  execFileSync('mkfifo', ['-m', '600', override])

  await node.attach('b', '02:00:00:00:00:67', 'pod-2')
  await node.until('b', (device) => device?.acknowledged === 'pod-2')
  assert.equal(await before.end('SIGTERM'), 0)
  node.start()
  await node.attach('c', '02:00:00:00:00:68', 'pod-3')
  await node.until('c', (device) => device?.acknowledged === 'pod-3')
  await node.allocatable(3)
})
