// /healthz, /readyz and /metrics: the only paths of that port.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { Counter, Registry } from 'prom-client'

import { serveStatus, type Status } from '../../src/process/status-server.ts'
import { freePort } from './free-port.ts'

function statusOf(problems: { unhealthy?: string; notReady?: string } = {}): Status {
  const metrics = new Registry()
  new Counter({ name: 'jiteni_test_total', help: 'For this test.', registers: [metrics] }).inc(3)
  return { metrics, unhealthy: () => problems.unhealthy, notReady: () => problems.notReady }
}

async function serving(t: TestContext, status: Status): Promise<string> {
  const port = await freePort()
  const stop = new AbortController()
  const running = serveStatus(status, { host: '127.0.0.1', port }, stop.signal)
  t.after(async () => {
    stop.abort()
    await running
  })
  return `http://127.0.0.1:${port}`
}

test('a program that is well and ready says ok', async (t) => {
  const url = await serving(t, statusOf())
  for (const path of ['/healthz', '/readyz', '/readyz?verbose']) {
    const answer = await fetch(url + path)
    assert.equal(answer.status, 200)
    assert.equal(await answer.text(), 'ok\n')
  }
})

test('health and readiness are told apart, each with its reason', async (t) => {
  const url = await serving(t, statusOf({ notReady: 'the cache of nodes has not synced yet' }))
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  const answer = await fetch(`${url}/readyz`)
  assert.equal(answer.status, 503)
  assert.equal(await answer.text(), 'the cache of nodes has not synced yet\n')
})

test('metrics come in the text format of Prometheus', async (t) => {
  const answer = await fetch(`${await serving(t, statusOf())}/metrics`)
  assert.match(answer.headers.get('content-type') ?? '', /^text\/plain/)
  assert.match(await answer.text(), /^jiteni_test_total 3$/m)
})

test('a status server answers what it has, says what that is, and ends when it is told to', async () => {
  const port = await freePort()
  const stop = new AbortController()
  const running = serveStatus(statusOf(), { host: '127.0.0.1', port }, stop.signal)
  const answer = await fetch(`http://127.0.0.1:${port}/`)
  assert.equal(answer.status, 404)
  assert.match(await answer.text(), /\/healthz, \/readyz and \/metrics/)
  stop.abort()
  await running
  await assert.rejects(fetch(`http://127.0.0.1:${port}/healthz`))
})

test('a status server whose address is taken fails at once', async (t) => {
  const taken = new URL(await serving(t, statusOf()))
  const running = serveStatus(statusOf(), { host: taken.hostname, port: Number(taken.port) }, t.signal)
  await assert.rejects(running, /EADDRINUSE/)
})

test('it ends with its signal, also when somebody has connected and asks nothing', async () => {
  const port = await freePort()
  const stop = new AbortController()
  const running = serveStatus(statusOf(), { host: '127.0.0.1', port }, stop.signal)
  const socket = connect(port, '127.0.0.1').on('error', () => undefined)
  await once(socket, 'connect')
  socket.write('GET /healthz HTTP/1.1\r\n')
  const answered = await fetch(`http://127.0.0.1:${port}/healthz`)
  await answered.text()
  stop.abort()
  await running
})

test('a probe is answered beside more connections than are kept', async (t) => {
  const url = await serving(t, statusOf())
  const idle: Socket[] = []
  t.after(() => idle.forEach((socket) => socket.destroy()))
  for (let opened = 0; opened < 300; opened++) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined)
    idle.push(socket)
    await once(socket, 'connect')
  }
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
})
