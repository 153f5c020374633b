// What the instance metadata say of the primary interface, and that nothing depends on their saying it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'

import { pino } from 'pino'

import { InstanceMetadata } from '../../src/device-plugin/instance-metadata.ts'

const mac = '02:00:00:00:00:01'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** IMDSv2: a token first, without which nothing is told. */
const imds: Answer = ({ method, url, headers }, response) => {
  if (method === 'PUT' && url === '/latest/api/token' && headers['x-aws-ec2-metadata-token-ttl-seconds'] === '60') {
    response.end('token-1')
  } else if (url === '/latest/meta-data/mac' && headers['x-aws-ec2-metadata-token'] === 'token-1') {
    response.end(`${mac.toUpperCase()}\n`)
  } else {
    response.writeHead(401).end()
  }
}

async function serve(t: TestContext, answer: Answer): Promise<string> {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function asked(t: TestContext, url: string | undefined, deadlineMs = 5_000) {
  const stop = new AbortController()
  const known = Promise.withResolvers<void>()
  const metadata = new InstanceMetadata({
    url,
    log: pino({ level: 'silent' }),
    onKnown: () => known.resolve(),
    deadlineMs,
    firstRetryMs: 1,
  })
  const running = metadata.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await running
  })
  return { metadata, known: known.promise }
}

test('the MAC of the primary is asked for with a token, once', async (t) => {
  const requests: string[] = []
  const url = await serve(t, (request, response) => {
    requests.push(`${request.method} ${request.url}`)
    imds(request, response)
  })
  const { metadata, known } = asked(t, url)
  await known
  assert.equal(metadata.primaryMac, mac)
  assert.deepEqual(requests, ['PUT /latest/api/token', 'GET /latest/meta-data/mac'])
})

const silences: Readonly<Record<string, Answer>> = {
  'refuse a request': (_request, response) => response.writeHead(403).end(),
  'answer something else': (_request, response) => response.end('<html>'),
  'answer without end': (_request, response) => response.write('x'.repeat(100_000)),
  'do not answer in time': () => undefined,
}
for (const [how, silence] of Object.entries(silences)) {
  test(`metadata that ${how} say nothing, and are asked again`, async (t) => {
    let answer = silence
    const again = Promise.withResolvers<void>()
    let requests = 0
    const url = await serve(t, (request, response) => {
      if (++requests === 4) again.resolve()
      answer(request, response)
    })
    const { metadata, known } = asked(t, url, 200)
    await again.promise
    assert.equal(metadata.primaryMac, undefined)
    answer = imds
    await known
    assert.equal(metadata.primaryMac, mac)
  })
}

test('switched off, they are not asked', async (t) => {
  const { metadata } = asked(t, undefined)
  await Promise.resolve()
  assert.equal(metadata.primaryMac, undefined)
})
