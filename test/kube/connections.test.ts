// Who we are on the wire, and to whom we speak: TLS with its authority, certificates, tokens that are renewed, credential commands,
// a proxy; few connections, kept and taken up again.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'

import { Connections } from '../../src/kube/connections.ts'
import { clusterAccess } from '../../src/kube/kubeconfig.ts'
import { TlsFront } from '../kube-api/tls-front.ts'
import { ManualClock } from '../process/manual-clock.ts'
import { type Answer, scriptedServer, sendJson } from './scripted-server.ts'

interface Scene {
  readonly directory: string
  readonly front: TlsFront
  readonly clock: ManualClock
  /** The headers of each request that the server has seen. */
  readonly seen: IncomingHttpHeaders[]
  readonly connections: () => number
  readonly connect: (parts?: { readonly cluster?: object; readonly user?: object }) => Connections
}

async function scene(t: TestContext, answer: Answer = (_url, _request, response) => sendJson(response, 200, {})) {
  const seen: IncomingHttpHeaders[] = []
  const server = await scriptedServer(t, (url, request, response) => {
    seen.push(request.headers)
    answer(url, request, response)
  })
  const front = await TlsFront.before(server.url)
  const directory = mkdtempSync(join(tmpdir(), 'jit-eni-connections-'))
  t.after(async () => {
    await front.stop()
    rmSync(directory, { recursive: true })
  })
  const clock = new ManualClock()
  const open = ({ cluster = {}, user = {} }: { readonly cluster?: object; readonly user?: object } = {}) => {
    const authority = { server: front.url, 'certificate-authority': front.certificateFile }
    const file = join(directory, 'kubeconfig')
    const config = {
      clusters: [{ name: 'c', cluster: { ...authority, ...cluster } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }
    writeFileSync(file, JSON.stringify(config))
    return new Connections(clusterAccess(file, {}), process.env, clock)
  }
  return { directory, front, clock, seen, connections: server.connections, connect: open } satisfies Scene
}

async function get(connections: Connections, signal: AbortSignal): Promise<number | undefined> {
  const sent = { method: 'GET', path: '/x', headers: {}, body: undefined, signal }
  const response = await connections.send('request', sent)
  await text(response)
  return response.statusCode
}

test('requests one after the other share one TLS connection', async (t) => {
  const { connect: open, front, connections } = await scene(t)
  const client = open()
  for (let request = 0; request < 20; request++) assert.equal(await get(client, t.signal), 200)
  assert.equal(connections(), 1)
  assert.equal(front.resumed.length, 1)
})

test('a connection that the server has closed is opened anew, and takes up the TLS session', async (t) => {
  const { connect: open, front } = await scene(t, (_url, _request, response) => {
    response.setHeader('connection', 'close')
    sendJson(response, 200, {})
  })
  const client = open()
  for (let request = 0; request < 3; request++) await get(client, t.signal)
  assert.deepEqual(front.resumed, [false, true, true])
})

test('no more than 64 requests are under way at once, and a watch need not wait for them', async (t) => {
  const held: (() => void)[] = []
  const full = Promise.withResolvers<void>()
  const { connect: open, connections } = await scene(t, (url, _request, response) => {
    if (url.pathname === '/watch') return void response.end()
    held.push(() => sendJson(response, 200, {}))
    if (held.length === 64) full.resolve()
  })
  const client = open()
  const requests = Array.from({ length: 80 }, () => get(client, t.signal))
  await full.promise
  const watch = { method: 'GET', path: '/watch', headers: {}, body: undefined, signal: t.signal }
  await text(await client.send('watch', watch))
  assert.equal(connections(), 65)
  const answer = () => {
    for (const release of held.splice(0)) release()
  }
  answer()
  const answering = setInterval(answer, 1)
  t.after(() => clearInterval(answering))
  assert.deepEqual(new Set(await Promise.all(requests)), new Set([200]))
})

test('a server of another authority is not spoken to, unless its certificate need not be verified', async (t) => {
  const { connect: open, front, seen } = await scene(t)
  const other = await TlsFront.before(front.url)
  t.after(() => other.stop())
  const foreign = { 'certificate-authority': other.certificateFile }
  await assert.rejects(get(open({ cluster: foreign, user: { token: 'secret' } }), t.signal), /self-signed certificate/)
  await assert.rejects(get(open({ cluster: { 'certificate-authority': undefined } }), t.signal), /self-signed/)
  assert.equal(seen.length, 0)
  assert.equal(await get(open({ cluster: { ...foreign, 'insecure-skip-tls-verify': true } }), t.signal), 200)
})

test('the server must have the name that the kubeconfig says', async (t) => {
  const { connect: open } = await scene(t)
  assert.equal(await get(open({ cluster: { 'tls-server-name': 'front.test' } }), t.signal), 200)
  await assert.rejects(get(open({ cluster: { 'tls-server-name': 'other.test' } }), t.signal), /other\.test/)
})

test('a client certificate is shown, from files or from the kubeconfig itself', async (t) => {
  const { connect: open, front } = await scene(t)
  await get(open({ user: { 'client-certificate': front.certificateFile, 'client-key': front.keyFile } }), t.signal)
  const [certificate, key] = [front.certificateFile, front.keyFile].map((file) => readFileSync(file).toString('base64'))
  await get(open({ user: { 'client-certificate-data': certificate, 'client-key-data': key } }), t.signal)
  assert.deepEqual(front.clients, ['front', 'front'])
})

test('passwords and another user to act as go out as headers', async (t) => {
  const { connect: open, seen } = await scene(t)
  await get(open({ user: { username: 'a', password: 'b', as: 'c' } }), t.signal)
  assert.equal(seen[0]?.authorization, `Basic ${Buffer.from('a:b').toString('base64')}`)
  assert.equal(seen[0]?.['impersonate-user'], 'c')
})

test('a token file is read again after a minute, and at once when its token was refused', async (t) => {
  const refusing = new Set<string>()
  const {
    connect: open,
    seen,
    directory,
    clock,
  } = await scene(t, (_url, { headers }, response) =>
    sendJson(response, refusing.has(headers.authorization ?? '') ? 401 : 200, {}),
  )
  const file = join(directory, 'token')
  const client = open({ user: { tokenFile: file } })
  const shown = async (token: string | undefined) => {
    if (token === undefined) rmSync(file)
    else writeFileSync(file, `${token}\n`)
    await get(client, t.signal)
    return seen.at(-1)?.authorization
  }
  assert.equal(await shown('one'), 'Bearer one')
  assert.equal(await shown('two'), 'Bearer one')
  clock.advance(60_000)
  assert.equal(await shown('two'), 'Bearer two')
  refusing.add('Bearer two')
  await get(client, t.signal)
  assert.equal(await shown('three'), 'Bearer three')
  clock.advance(60_000)
  assert.equal(await shown(undefined), 'Bearer three', 'while it is being replaced')
})

test('a token file that was never there is an error that names it', async (t) => {
  const { connect: open } = await scene(t)
  await assert.rejects(get(open({ user: { tokenFile: '/nonexistent/token' } }), t.signal), /\/nonexistent\/token/)
})

test('a new authority in its file is taken up within a minute', async (t) => {
  const { connect: open, front, directory, clock, connections } = await scene(t)
  const other = await TlsFront.before(front.url)
  t.after(() => other.stop())
  const file = join(directory, 'ca.crt')
  copyFileSync(other.certificateFile, file)
  const client = open({ cluster: { 'certificate-authority': file } })
  await assert.rejects(get(client, t.signal), /self-signed certificate/)
  copyFileSync(front.certificateFile, file)
  await assert.rejects(get(client, t.signal), /self-signed certificate/)
  clock.advance(60_000)
  assert.equal(await get(client, t.signal), 200)
  // An unchanged file does not cost a connection.
  clock.advance(60_000)
  assert.equal(await get(client, t.signal), 200)
  assert.equal(connections(), 1)
})

test('a certificate and its key that are replaced one after the other cost no more than the moment between', async (t) => {
  const { connect: open, front, directory, clock } = await scene(t)
  const other = await TlsFront.before(front.url)
  t.after(() => other.stop())
  const [certificate, key] = [join(directory, 'tls.crt'), join(directory, 'tls.key')]
  copyFileSync(front.certificateFile, certificate)
  copyFileSync(front.keyFile, key)
  const client = open({ user: { 'client-certificate': certificate, 'client-key': key } })
  assert.equal(await get(client, t.signal), 200)
  clock.advance(60_000)
  copyFileSync(other.certificateFile, certificate)
  await assert.rejects(get(client, t.signal), /key values mismatch/)
  copyFileSync(other.keyFile, key)
  assert.equal(await get(client, t.signal), 200)
  assert.equal(front.resumed.length, 2)
})

test('a file that is empty while it is being written says nothing new', async (t) => {
  const { connect: open, front, directory, clock, seen } = await scene(t)
  const [authority, token] = [join(directory, 'ca.crt'), join(directory, 'token')]
  copyFileSync(front.certificateFile, authority)
  writeFileSync(token, 'one')
  const client = open({ cluster: { 'certificate-authority': authority }, user: { tokenFile: token } })
  assert.equal(await get(client, t.signal), 200)
  for (const file of [authority, token]) writeFileSync(file, '')
  clock.advance(60_000)
  assert.equal(await get(client, t.signal), 200)
  assert.equal(seen.at(-1)?.authorization, 'Bearer one')
  // Node would take it for the authorities that it knows itself.
  await assert.rejects(get(open({ cluster: { 'certificate-authority': authority } }), t.signal), /ca\.crt is empty/)
})

test('a request ends with its signal also before it has a connection', async (t) => {
  const full = Promise.withResolvers<void>()
  let held = 0
  const { connect: open } = await scene(t, () => {
    if (++held === 64) full.resolve()
  })
  const client = open()
  const others = new AbortController()
  const waiting = Array.from({ length: 64 }, () => get(client, others.signal))
  await full.promise
  const late = new AbortController()
  const queued = get(client, late.signal)
  setImmediate(() => late.abort())
  await assert.rejects(queued, /aborted before it was answered/)
  others.abort()
  assert.deepEqual(new Set((await Promise.allSettled(waiting)).map(({ status }) => status)), new Set(['rejected']))
})

/** A credential command that counts its runs in a file and prints what the test has put beside it. */
function command(directory: string): {
  readonly file: string
  readonly runs: () => number
  readonly says: (status: object) => void
} {
  const file = join(directory, 'login')
  const script = `#!/bin/sh\necho "$WHO $KUBERNETES_EXEC_INFO $1" >> ${directory}/runs\ncat ${directory}/says\n`
  writeFileSync(file, script)
  chmodSync(file, 0o755)
  writeFileSync(join(directory, 'runs'), '')
  return {
    file,
    runs: () => readFileSync(join(directory, 'runs'), 'utf8').split('\n').length - 1,
    says: (status) =>
      writeFileSync(
        join(directory, 'says'),
        JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status }),
      ),
  }
}

const execUser = (file: string) => ({
  exec: {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: file,
    args: ['get-token'],
    env: [{ name: 'WHO', value: 'me' }],
  },
})

test('a credential command is run once for all who wait, and again when its token ends or is refused', async (t) => {
  const refusing = new Set<string>()
  const {
    connect: open,
    seen,
    directory,
    clock,
  } = await scene(t, (_url, { headers }, response) =>
    sendJson(response, refusing.has(headers.authorization ?? '') ? 401 : 200, {}),
  )
  const { file, runs, says } = command(directory)
  const client = open({ user: execUser(file) })
  const endsIn = (ms: number) => new Date(clock.now() + ms).toISOString()
  says({ token: 'one', expirationTimestamp: endsIn(15 * 60_000) })
  await Promise.all([get(client, t.signal), get(client, t.signal)])
  assert.deepEqual([seen.at(-1)?.authorization, runs()], ['Bearer one', 1])
  const asked = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}'
  assert.equal(readFileSync(join(directory, 'runs'), 'utf8'), `me ${asked} get-token\n`)

  clock.advance(14 * 60_000)
  says({ token: 'two' })
  await get(client, t.signal)
  assert.deepEqual([seen.at(-1)?.authorization, runs()], ['Bearer two', 2])
  refusing.add('Bearer two')
  assert.equal(await get(client, t.signal), 401)
  says({ token: 'three' })
  assert.equal(await get(client, t.signal), 200)
  assert.deepEqual([seen.at(-1)?.authorization, runs()], ['Bearer three', 3])
})

test('many requests that are refused one after the other run a credential command once', async (t) => {
  const held: (() => void)[] = []
  const full = Promise.withResolvers<void>()
  const { connect: open, directory } = await scene(t, (_url, { headers }, response) => {
    if (headers.authorization === 'Bearer good') return sendJson(response, 200, {})
    held.push(() => sendJson(response, 401, {}))
    if (held.length === 10) full.resolve()
  })
  const { file, runs, says } = command(directory)
  const client = open({ user: execUser(file) })
  says({ token: 'bad' })
  const waiting = new Set<Promise<number | undefined>>()
  for (let request = 0; request < 10; request++) {
    const refused = get(client, t.signal).finally(() => waiting.delete(refused))
    waiting.add(refused)
  }
  await full.promise
  says({ token: 'good' })
  for (const release of held) {
    release()
    assert.equal(await Promise.race(waiting), 401)
    assert.equal(await get(client, t.signal), 200)
  }
  assert.equal(runs(), 2)
})

test('a credential command may give a certificate', async (t) => {
  const { connect: open, front, directory } = await scene(t)
  const { file, says } = command(directory)
  says({
    clientCertificateData: readFileSync(front.certificateFile, 'utf8'),
    clientKeyData: readFileSync(front.keyFile, 'utf8'),
  })
  await get(open({ user: execUser(file) }), t.signal)
  assert.deepEqual(front.clients, ['front'])
})

test('a credential command that fails is named with its own words, and what it printed is not told', async (t) => {
  const { connect: open, directory } = await scene(t)
  const { file } = command(directory)
  const client = open({ user: execUser(file) })
  writeFileSync(join(directory, 'says'), 'top secret')
  await assert.rejects(get(client, t.signal), ({ message }: Error) => {
    assert.equal(message, `credential command ${file} printed no ExecCredential`)
    return true
  })
  writeFileSync(file, '#!/bin/sh\necho top secret\necho session expired >&2\nexit 3\n')
  await assert.rejects(get(client, t.signal), ({ message }: Error) => {
    assert.equal(message, `credential command ${file} failed (3): session expired`)
    return true
  })
})

test('a credential command that asks something gets no answer, and does not wait for one', async (t) => {
  const { connect: open, directory, seen } = await scene(t)
  const { file, says } = command(directory)
  says({ token: 'one' })
  writeFileSync(file, `#!/bin/sh\necho 'Password: ' >&2\nread password\ncat ${directory}/says\n`)
  assert.equal(await get(open({ user: execUser(file) }), t.signal), 200)
  assert.equal(seen.at(-1)?.authorization, 'Bearer one')
})

test('a proxy that says nothing is left when the signal says so', async (t) => {
  const { connect: open } = await scene(t)
  const asked = Promise.withResolvers<void>()
  const proxy = createServer().on('connect', (_request, socket) => {
    socket.on('error', () => undefined)
    asked.resolve()
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.after(() => {
    proxy.close()
    proxy.closeAllConnections()
  })
  const { port } = proxy.address() as AddressInfo
  const late = new AbortController()
  const request = get(open({ cluster: { 'proxy-url': `http://127.0.0.1:${port}` } }), late.signal)
  await asked.promise
  late.abort()
  await assert.rejects(request, /aborted before it was answered/)
})

test('through a proxy that the kubeconfig names, TLS goes from end to end', async (t) => {
  const { connect: open, connections } = await scene(t)
  const asked: (string | undefined)[] = []
  const proxy = createServer().on('connect', ({ url }, socket) => {
    asked.push(url)
    const target = new URL(`http://${url}`)
    const behind = connect(Number(target.port), target.hostname, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(behind).pipe(socket)
    })
    behind.on('error', () => socket.destroy())
    socket.on('error', () => behind.destroy())
    socket.once('close', () => behind.destroy())
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.after(() => {
    proxy.close()
    proxy.closeAllConnections()
  })
  const { port } = proxy.address() as AddressInfo
  const client = open({ cluster: { 'proxy-url': `http://127.0.0.1:${port}` } })
  assert.equal(await get(client, t.signal), 200)
  assert.equal(asked.length, 1)
  assert.equal(connections(), 1)
})
