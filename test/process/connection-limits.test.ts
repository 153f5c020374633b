// The bounds of one server's connections, each met by a client that goes beyond it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'

import { type ConnectionLimits, deadlines, limitConnections } from '../../src/process/connection-limits.ts'
import { RawConnection } from './raw-connection.ts'

async function limited(t: TestContext, limits: ConnectionLimits, listener: RequestListener) {
  const server = createServer(deadlines, listener)
  limitConnections(server, limits)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return { server, port: (server.address() as AddressInfo).port }
}

const get = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'

test('of those that wait, the one that has waited longest makes room; those with a request under way do not', async (t) => {
  const answers: (() => void)[] = []
  const { port } = await limited(t, { all: 100, waiting: 2 }, (_request, response) => {
    answers.push(() => response.end('done'))
  })
  const busy = await RawConnection.open(t, port)
  busy.send(get)
  while (answers.length === 0) await new Promise(setImmediate)
  const [oldest, second] = [await RawConnection.open(t, port), await RawConnection.open(t, port)]
  const third = await RawConnection.open(t, port)
  await oldest.closed
  // It waits from now on, and is the youngest of those who do.
  answers.shift()?.()
  await busy.answers(1)
  await second.closed
  for (const kept of [busy, third]) {
    assert.equal(kept.socket.destroyed, false)
    kept.send(get)
  }
  while (answers.length < 2) await new Promise(setImmediate)
})

test('there are no more than so many, however busy all are', async (t) => {
  const { port } = await limited(t, { all: 2, waiting: 2 }, () => undefined)
  const busy = [await RawConnection.open(t, port), await RawConnection.open(t, port)]
  for (const one of busy) one.send(get)
  const beyond = await RawConnection.open(t, port)
  await beyond.closed
  for (const one of busy) assert.equal(one.socket.destroyed, false)
})

test('a client that does not take its answer is closed', async (t) => {
  const { server, port } = await limited(t, { all: 2, waiting: 2 }, (_request, response) => {
    response.end(Buffer.alloc(64 * 1024 * 1024))
  })
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const deaf = connect(port, '127.0.0.1').pause()
  t.after(() => deaf.destroy())
  deaf.write(get)
  const [socket] = await accepted
  await once(socket, 'close')
})

test('a client that takes its answer keeps its connection', async (t) => {
  const { port } = await limited(t, { all: 2, waiting: 2 }, (_request, response) => response.end('done'))
  const client = await RawConnection.open(t, port)
  for (let call = 1; call <= 20; call++) {
    client.send(get)
    await client.answers(call)
  }
  assert.equal(client.socket.destroyed, false)
})
