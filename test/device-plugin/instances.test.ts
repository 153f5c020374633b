// Two device plugins on one node, as while a pod of an earlier version lingers: the second one touches nothing until its turn.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { freePort } from '../process/free-port.ts'
import { startProgramNode } from './program-under-test.ts'

const mac = '02:00:00:00:00:66'

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  test(`the second one stands by and takes over when the first ends by ${signal}`, async (t) => {
    const node = await startProgramNode(t)
    const first = node.start()
    await node.attach('a', mac, 'pod-1')
    await node.until('a', (device) => device?.acknowledged === 'pod-1')
    assert.ok((await node.admit('upf-0')).admitted)
    await node.until('a', (device) => device?.inUseBy?.name === 'upf-0')
    const before = { device: node.device('a'), journal: node.journal(), sockets: node.sockets() }

    const address = `127.0.0.1:${await freePort()}`
    const second = node.start({ JIT_ENI_STATUS_LISTEN: address })
    await second.logged('another device plugin works on this node; standing by until it ends')
    const readiness = await fetch(`http://${address}/readyz`)
    assert.equal(readiness.status, 503)
    assert.match(await readiness.text(), /another device plugin works on this node/)
    assert.equal((await fetch(`http://${address}/healthz`)).status, 200)
    await node.looked()
    assert.deepEqual({ device: node.device('a'), journal: node.journal(), sockets: node.sockets() }, before)

    const gone = node.allocatable(0)
    const endsAt = performance.now()
    await first.end(signal)
    await gone
    await node.allocatable(1)
    t.diagnostic(`registered again ${Math.round(performance.now() - endsAt)} ms after ${signal}`)
    await node.looked()
    assert.deepEqual(node.device('a'), before.device)
    assert.deepEqual(node.journal(), before.journal)
    assert.equal(node.sockets().length, 1)
    assert.ok(!second.has('card bound') && !second.has('card restored'))
    assert.equal(node.driverOf(mac), 'vfio-pci')
  })
}

test('one that finds the status address taken by the other waits for that too', async (t) => {
  const node = await startProgramNode(t)
  const address = `127.0.0.1:${await freePort()}`
  const first = node.start({ JIT_ENI_STATUS_LISTEN: address })
  await first.logged('resource registered')
  const second = node.start({ JIT_ENI_STATUS_LISTEN: address })
  await second.logged('another device plugin works on this node; standing by until it ends')
  await first.end('SIGTERM')
  await second.logged('resource registered')
  assert.equal((await fetch(`http://${address}/readyz`)).status, 200)
})

test('one that is told to end while it stands by does so, and the first goes on', async (t) => {
  const node = await startProgramNode(t)
  const first = node.start()
  await first.logged('resource registered')
  const second = node.start()
  await second.logged('another device plugin works on this node; standing by until it ends')
  const sockets = node.sockets()
  assert.equal(await second.end('SIGTERM'), 0)
  await node.looked()
  assert.deepEqual(node.sockets(), sockets)
  assert.ok(!first.hasEnded)
})
