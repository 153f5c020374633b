// Cluster: one pool of connections, every failure a KubeError that says what was tried, and nothing that waits for ever.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { test } from 'node:test'

import { Cluster, type RequestOptions } from '../../src/kube/cluster.ts'
import { isConflict, isGone, isNotFound, KubeError } from '../../src/kube/kube-error.ts'
import { scriptedServer, sendJson } from './scripted-server.ts'

const kubeError = (code: number, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KubeError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, message)
  return true
}

test('fifty calls share their connections, and carry the token of the kubeconfig', async (t) => {
  const authorizations = new Set<string | undefined>()
  const server = await scriptedServer(t, (_url, request, response) => {
    authorizations.add(request.headers.authorization)
    sendJson(response, 200, {})
  })
  const cluster = new Cluster(server.kubeconfig)
  for (let call = 0; call < 50; call++) await cluster.request('GET', '/api/v1/nodes/n')
  assert.equal(server.connections(), 1)
  assert.deepEqual([...authorizations], ['Bearer secret'])
})

test('a refusal becomes an error with code, reason and what was tried', async (t) => {
  const server = await scriptedServer(t, (url, _request, response) => {
    const code = Number(url.pathname.slice(1))
    sendJson(response, code, { kind: 'Status', reason: `R${code}`, message: `because ${code}` })
  })
  const cluster = new Cluster(server.kubeconfig)
  const errorOf = (path: string) =>
    cluster.request('PATCH', path, { body: {} }).then(
      () => assert.fail('not refused'),
      (e: unknown) => e,
    )
  const notFound = await errorOf('/404')
  assert.ok(kubeError(404, /^PATCH \/404: because 404$/)(notFound))
  assert.equal((notFound as KubeError).reason, 'R404')
  assert.deepEqual([isNotFound(notFound), isConflict(notFound), isGone(notFound)], [true, false, false])
  assert.equal(isConflict(await errorOf('/409')), true)
  assert.equal(isGone(await errorOf('/410')), true)
})

test('an answer that is not from an API server is quoted', async (t) => {
  const server = await scriptedServer(t, (_url, _request, response) => response.writeHead(502).end('<h1>proxy</h1>'))
  await assert.rejects(new Cluster(server.kubeconfig).request('GET', '/x'), kubeError(502, /GET \/x: <h1>proxy<\/h1>/))
})

test('a broken connection is code 0 and says why', async (t) => {
  const server = await scriptedServer(t, (url, request, response) => {
    if (url.pathname === '/half')
      response.writeHead(200, { 'content-length': '100' }).write('{"half":', () => response.destroy())
    else request.socket.destroy()
  })
  const cluster = new Cluster(server.kubeconfig)
  await assert.rejects(cluster.request('GET', '/reset'), kubeError(0, /GET \/reset: no answer from http:.*: \S+/))
  await assert.rejects(cluster.request('GET', '/half'), kubeError(0, /GET \/half: answer was cut off: \S+/))
})

test('a call ends when its signal aborts, and the server sees it go', async (t) => {
  const arrived = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  const server = await scriptedServer(t, (_url, _request, response) => {
    response.once('close', () => left.resolve())
    arrived.resolve()
  })
  const abort = new AbortController()
  const call = new Cluster(server.kubeconfig).request('GET', '/slow', { signal: abort.signal })
  const refused = assert.rejects(call, kubeError(0, /no answer/))
  await arrived.promise
  abort.abort()
  await Promise.all([refused, left.promise])
})

test('a call that is never answered ends at its deadline of 15 s', async (t) => {
  const deadline = new AbortController()
  const timeout = t.mock.method(AbortSignal, 'timeout', () => deadline.signal)
  const server = await scriptedServer(t, () => deadline.abort())
  await assert.rejects(new Cluster(server.kubeconfig).request('GET', '/never'), kubeError(0, /no answer/))
  assert.deepEqual(timeout.mock.calls[0]?.arguments, [15_000])
})

test('each kind of patch goes out with its content type, its query and its body', async (t) => {
  const seen: { headers: IncomingHttpHeaders; search: string }[] = []
  const server = await scriptedServer(t, (url, { headers }, response) => {
    seen.push({ headers, search: url.search })
    sendJson(response, 200, {})
  })
  const cluster = new Cluster(server.kubeconfig)
  const kinds = ['json', 'merge', 'strategic', 'jsonPatch', 'apply'] satisfies RequestOptions['as'][]
  for (const as of kinds)
    await cluster.request('PATCH', '/x', { as, body: {}, query: { force: true, fieldManager: 'm' } })
  assert.deepEqual(
    seen.map(({ headers }) => headers['content-type']),
    [
      'application/json',
      'application/merge-patch+json',
      'application/strategic-merge-patch+json',
      'application/json-patch+json',
      'application/apply-patch+yaml',
    ],
  )
  assert.ok(seen.every(({ search }) => search === '?force=true&fieldManager=m'))
})

test('the lines of a watch are parsed one by one, however they are cut into chunks', async (t) => {
  const server = await scriptedServer(t, (_url, _request, response) => {
    response.write('{"n":1}\n{"n"')
    response.end(':2}\n\n{"n":3}\n')
  })
  const seen: unknown[] = []
  for await (const line of new Cluster(server.kubeconfig).lines('/w', { signal: t.signal })) seen.push(line)
  assert.deepEqual(seen, [{ n: 1 }, { n: 2 }, { n: 3 }])
})

test('a watch that is refused or breaks off is an error to its reader', async (t) => {
  const server = await scriptedServer(t, (url, _request, response) => {
    if (url.pathname === '/gone') sendJson(response, 410, { reason: 'Expired', message: 'too old' })
    else response.write('{"n":1}\n', () => response.destroy())
  })
  const cluster = new Cluster(server.kubeconfig)
  const seen: unknown[] = []
  const read = async (path: string) => {
    for await (const line of cluster.lines(path, { signal: t.signal })) seen.push(line)
  }
  await assert.rejects(read('/gone'), kubeError(410, /too old/))
  await assert.rejects(read('/breaks'))
  assert.deepEqual(seen, [{ n: 1 }])
})

test('a reader that stops half-way ends the connection', async (t) => {
  const ended = Promise.withResolvers<void>()
  const server = await scriptedServer(t, (_url, _request, response) => {
    response.write('{"n":1}\n')
    void once(response, 'close').then(() => ended.resolve())
  })
  for await (const _line of new Cluster(server.kubeconfig).lines('/w', { signal: t.signal })) break
  await ended.promise
})

test('without a cluster to talk to, the error says what to set', async (t) => {
  const server = await scriptedServer(t, () => undefined)
  await writeFile(server.kubeconfig, '{"clusters": [], "users": [], "contexts": []}')
  assert.throws(() => new Cluster(server.kubeconfig), /no cluster to talk to: set KUBECONFIG/)
})

test('a kubeconfig that is not there is named, with the setting', () => {
  assert.throws(() => new Cluster('/nonexistent/kubeconfig'), {
    name: 'SettingsError',
    message: /^KUBECONFIG: .*\/nonexistent\/kubeconfig/,
  })
})

test('without a kubeconfig and outside of a pod, the error says what to set', async () => {
  const { HOME, KUBECONFIG } = process.env
  delete process.env['KUBECONFIG']
  process.env['HOME'] = '/nonexistent'
  try {
    assert.throws(() => new Cluster(), /no cluster to talk to: set KUBECONFIG/)
  } finally {
    Object.assign(process.env, { HOME, ...(KUBECONFIG !== undefined && { KUBECONFIG }) })
  }
})

test('a reader may abort its watch and leave in the same turn', async (t) => {
  const server = await scriptedServer(t, (_url, _request, response) => response.write('{"a":1}\n'))
  const abort = new AbortController()
  for await (const _line of new Cluster(server.kubeconfig).lines('/w', { signal: abort.signal })) {
    abort.abort()
    break
  }
  // An error that nobody hears would end the test now.
  await new Promise((resolve) => setImmediate(resolve))
})
